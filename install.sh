#!/bin/sh
# Set up snap-self from this checkout. See `./install.sh --help`.
set -eu

PROGRAM=install.sh
case "$0" in */*) checkout="${0%/*}/" ;; *) checkout=. ;; esac
checkout="$(CDPATH='' cd -- "$checkout" && pwd)"
# shellcheck source=packaging/setup.sh
. "$checkout/packaging/setup.sh"
# shellcheck source=packaging/installing.sh
. "$checkout/packaging/installing.sh"
# What is started finds nothing in the caller's folder; `absolute` still knows it.
cd /

usage() {
    cat <<'TEXT'
Usage: ./install.sh VERB [OPTION...]

Verbs:
  demo       try snap-self on this machine against a simulated ECS: no account, no cloud, no installation
  install    install it on this machine, or bring an installation up to date (root)
  uninstall  remove what `install` put down (root)

Options of demo:
  --setup-only   set up and stop before the demo
  --remove       remove what earlier demos set up, and name the Debian packages they installed
  --keep         passed on to `snap-self demo`: keep the simulated cloud running until Ctrl-C

Options of install:
  --check        check whether anything is in the way, and stop; nothing is changed
  --tree DIR     do not build: DIR is what `packaging/build.sh --output DIR` made, here or on a machine like this
  --python PATH  the Python to carry along (default: the system's)
  --no-hooks     do not register with the package managers

Options of uninstall:
  --purge        also remove configuration, journal and hooks: /etc/snap-self and /var/lib/snap-self

Options:
  -h, --help     show this text

`demo` needs Python 3.10 or newer. It makes a virtual environment in
${XDG_CACHE_HOME:-$HOME/.cache}/snap-self/demo-venv, or in a temporary folder that it removes again where
there is no such place. As root it also installs missing disk tools with apt-get. At the end it says what
it left and how to remove it. PYTHON names the interpreter to use; pip's own settings apply.

As root it uses nothing that others can change: no Python or other program, no home, no folder for temporary
files, and no checkout but root's own or that of the user who calls it by sudo.

`install` carries its own Python along, so that it works when an upgrade replaced the system's: /opt/snap-self. It
needs no systemd; where there is one, a unit ends at boot what a crashed run left frozen. It checks first, says every
file it puts down, and lists them in /opt/snap-self/install-manifest. After an interruption repeat it. Use the .deb
or .rpm instead where you can. `uninstall` leaves configuration and journal, and says what it leaves.

Examples:
  ./install.sh demo
  ./install.sh demo --remove
  sudo ./install.sh install
  sudo ./install.sh uninstall --purge

Exit status: 0 done; 2 wrong usage; 4 something is missing, in the way, or failed; of demo: its own.
TEXT
}

usage_error() {
    fail "$EXIT_USAGE" "$1" "see: ./install.sh --help"
}

# --- demo: where things are ------------------------------------------------------------------

# Print the folder that demos keep their environment in; nothing where there is no safe place.
demo_home() {
    cache="${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}"
    case "$cache" in
    /*) ;;
    *) return 0 ;; # unset, or not absolute: the XDG rules say to ignore it
    esac
    is_ours "$(nearest "$cache")" || return 0
    made=
    [ -e "$cache" ] || made="$cache/snap-self/made-cache"
    mkdir -p "$cache/snap-self" 2>/dev/null || return 0
    [ -z "$made" ] || : >"$made"
    if [ -O "$cache/snap-self" ] && [ -w "$cache/snap-self" ]; then
        chmod go-w "$cache/snap-self"
        ! is_ours "$cache/snap-self" || printf '%s\n' "$cache/snap-self"
    fi
}

# What others can change must not be run by us, nor what they can exchange somewhere on the way to it.
is_ours() {
    [ -O "$1" ] && may_trust "$(if is_root; then echo 0; else echo "0 $(id -u)"; fi)" "$1" >/dev/null
}

# --- demo: set-up ----------------------------------------------------------------------------

# Print a hash of all that the environment is made from: it is made anew only when that changes.
demo_stamp() {
    printf '%s ' "$("$1" -I -c 'import sys; print(sys.prefix, sys.version)' | tr '\n' ' ')"
    cd "$checkout"
    find pyproject.toml packaging/setup.sh packaging/locked agent -type f ! -name '*.pyc' ! -path '*.egg-info/*' | hash_files
}

# demo_install PYTHON DIR: build from a copy, so that the checkout stays as it is.
demo_install() {
    build="$(mktemp -d)"
    (cd "$checkout" && cp -R pyproject.toml README.md agent "$build/")
    make_venv "$1" "$2"
    say "installing snap-self and its libraries (once; half a minute)"
    pip_install_locked "$2/bin/python" agent build -- --no-cache-dir
    pip_install "$2/bin/python" --no-cache-dir --no-deps --no-index --no-build-isolation "$build"
    rm -rf "$build"
    build=
}

# demo_venv DIR
demo_venv() {
    python="$(require_python)"
    stamp="$(demo_stamp "$python")"
    if [ ! -x "$1/bin/snap-self" ] || ! is_ours "$1/bin/snap-self" || [ "$(cat "$1/stamp" 2>/dev/null)" != "$stamp" ]; then
        say "setting up $1 with $python"
        demo_install "$python" "$1"
        printf '%s\n' "$stamp" >"$1/stamp"
    fi
}

# Packages that the demo's disks need, where this machine has not got them already.
demo_disk_tools() {
    wanted=
    have losetup && have mount || wanted="$wanted util-linux mount"
    have mkfs.ext4 || wanted="$wanted e2fsprogs"
    have mkfs.xfs || wanted="$wanted xfsprogs"
    have mkfs.btrfs || wanted="$wanted btrfs-progs"
    [ -n "$wanted" ] || return 0
    # shellcheck disable=SC2086  # a list of package names
    apt_install $wanted ||
        say "could not install:$wanted; the demo goes on and says what it leaves out"
}

# Keep a list of what was installed beside the environment; --remove reads it in a later run.
remember_packages() {
    [ -z "$APT_INSTALLED" ] || printf '%s\n' "$APT_INSTALLED" | tr -s ' ' '\n' | sed '/^$/d' >>"$1/apt-packages"
    APT_INSTALLED=
}

installed_packages() {
    [ ! -f "$1/apt-packages" ] || sort -u "$1/apt-packages" | tr '\n' ' ' | sed 's/ $//'
}

# --- demo: running and going -----------------------------------------------------------------

# Run a command, pass signals on to it, and leave its exit status in $status.
run_passing_signals() {
    # A background command of a shell without job control reads nothing and ignores Ctrl-C, unless told.
    exec 3<&0
    if env --default-signal=INT,QUIT true 2>/dev/null; then
        env --default-signal=INT,QUIT "$@" <&3 3<&- &
    else
        "$@" <&3 3<&- &
    fi
    child=$!
    exec 3<&-
    trap 'kill -TERM "$child" 2>/dev/null || :' TERM HUP
    trap : INT # a terminal sends it to the command itself
    status=0
    wait "$child" || status=$?
    while kill -0 "$child" 2>/dev/null; do
        status=0
        wait "$child" || status=$?
    done
}

# Whatever way the run ends: remove what was for this run only, and name what stays.
at_the_end() {
    [ -z "$build" ] || rm -rf "$build"
    remember_packages "$home"
    packages="$(installed_packages "$home")"
    if [ "$home_is_temporary" = yes ]; then
        rm -rf "$home"
        [ -z "$packages" ] || say "left: Debian packages: $packages"
        [ -z "$packages" ] || tell_apt_removal "$packages"
    else
        [ ! -e "$home/demo-venv" ] || say "left for the next demo: $home/demo-venv"
        [ -z "$packages" ] || say "left: Debian packages that demos installed: $packages"
        if [ -e "$home/demo-venv" ] || [ -n "$packages" ]; then
            say "  to remove it: ./install.sh demo --remove"
        else
            leave_home
        fi
    fi
}

# Remove the folder of demos where nothing else is in it, and that of caches if demos made it.
leave_home() {
    [ -n "$home" ] || return 0
    above=
    [ ! -e "$home/made-cache" ] || above="${home%/*}"
    rm -f "$home/made-cache"
    if rmdir "$home" 2>/dev/null && [ -n "$above" ]; then rmdir "$above" 2>/dev/null || :; fi
}

# The lock of a machine that has no snap-self, and where simulated clouds were noted.
leave_run() {
    is_root || return 0
    [ -e /opt/snap-self ] || rm -f /run/snap-self/lock
    rmdir /run/snap-self /run/ecs-simulator 2>/dev/null || :
}

demo_remove() {
    home="$(demo_home)"
    if [ -z "$home" ] || [ ! -e "$home/demo-venv" ] && [ ! -e "$home/apt-packages" ]; then
        say "nothing to remove"
        leave_home
        return 0
    fi
    packages="$(installed_packages "$home")"
    rm -rf "$home/demo-venv" || fail "$EXIT_ENVIRONMENT" "$home/demo-venv cannot be removed"
    rm -f "$home/apt-packages"
    leave_home
    leave_run
    say "removed $home/demo-venv"
    if [ -n "$packages" ]; then
        say "Debian packages that the demo had installed, and which others may use by now: $packages"
        tell_apt_removal "$packages"
    fi
}

# Settle where this run's environment lies, and that at_the_end is heard.
demo_begin() {
    build=
    home_is_temporary=no
    home="$(demo_home)"
    if [ -z "$home" ]; then
        home="$(mktemp -d)"
        home_is_temporary=yes
        say "no cache folder of our own here (is HOME set?): using $home, removed at the end"
    fi
    trap at_the_end EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

verb_demo() {
    mode=
    # Whatever is wrong is said before anything is made.
    while [ $# -gt 0 ]; do
        case "$1" in
        -h | --help) usage && return ;;
        --setup-only | --remove | --keep)
            [ -z "$mode" ] || [ "$mode" = "$1" ] || usage_error "$mode and $1 do not go together"
            mode="$1"
            ;;
        *) usage_error "unknown option of demo: $1" ;;
        esac
        shift
    done
    if [ "$mode" = --remove ]; then
        demo_remove
        return
    fi
    umask 022
    check_trust "$checkout" install.sh packaging agent pyproject.toml README.md
    demo_begin
    if is_root; then demo_disk_tools; fi
    demo_venv "$home/demo-venv"
    status=0
    [ "$mode" = --setup-only ] ||
        run_passing_signals "$home/demo-venv/bin/python" -I "$home/demo-venv/bin/snap-self" demo ${mode:+"$mode"}
    exit "$status"
}

case "${1:-}" in
-h | --help | help)
    usage
    ;;
demo)
    shift
    verb_demo "$@"
    ;;
install)
    shift
    verb_install "$@"
    ;;
uninstall)
    shift
    verb_uninstall "$@"
    ;;
'')
    usage_error "no verb given"
    ;;
*)
    usage_error "unknown verb: $1"
    ;;
esac
