# shellcheck shell=sh disable=SC2034,SC2153,SC2154  # constants are used, and names set, by the scripts that read this file
# Set-up steps shared by install.sh, tests/run and the scripts that build: what root may run, a Python,
# Debian packages, a virtual environment.
# Read with `.`; POSIX sh. Callers set PROGRAM (the name that messages begin with) and checkout (its folder).

EXIT_USAGE=2
EXIT_ENVIRONMENT=4

say() {
    printf '%s: %s\n' "$PROGRAM" "$*" >&2
}

# fail STATUS MESSAGE [HINT]
fail() {
    printf '%s: %s\n' "$PROGRAM" "$2" >&2
    [ -z "${3:-}" ] || printf '  hint: %s\n' "$3" >&2
    exit "$1"
}

is_root() {
    [ "$(id -u)" -eq 0 ]
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# --- what root may run -----------------------------------------------------------------------
#
# A *way* is every directory, link and file that the kernel passes from / to what a path names. Who owns
# one hop of it, or may write there, can change what lies at its end: agent/snap_self/model/trust.py has
# the same rule for the agent.

SYSTEM_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
NEWLINE='
'

# way PATH: print every hop, one a line; the last is the thing itself.
way() {
    way_here=/
    way_rest="$1"
    way_links=0
    printf '/\n'
    while [ -n "$way_rest" ]; do
        case "$way_rest" in *"$NEWLINE"*) return 1 ;; esac
        way_name="${way_rest%%/*}"
        way_rest="${way_rest#"$way_name"}"
        way_rest="${way_rest#/}"
        case "$way_name" in
        '' | .) continue ;;
        ..)
            way_here="${way_here%/*}"
            way_here="${way_here:-/}"
            continue
            ;;
        esac
        way_place="${way_here%/}/$way_name"
        printf '%s\n' "$way_place"
        if [ ! -L "$way_place" ]; then
            way_here="$way_place"
            continue
        fi
        way_links=$((way_links + 1))
        [ "$way_links" -le 40 ] || return 1 # as many as the kernel follows
        way_rest="$(readlink "$way_place")/$way_rest"
        case "$way_rest" in /*) way_here=/ ;; esac
    done
    printf '%s\n' "$way_here"
}

# may_trust OWNERS PATH [sticky]: succeed where nobody but these user ids can change what lies at an
# absolute path; else print why. A folder like /tmp is accepted above the thing, since others can neither
# rename nor remove there what is ours; with `sticky` as the thing itself too.
may_trust() (
    unset IFS
    if ! hops="$(way "$2")" || ! facts="$(facts_of "$hops")"; then
        echo "$2 is not there"
        return 1
    fi
    # All are asked at once; each by itself only to name the odd one.
    case "$NEWLINE$(filesystems_of "$hops")$NEWLINE" in
    *"${NEWLINE}65735546$NEWLINE"* | *"${NEWLINE}unknown$NEWLINE"*) odd=yes ;;
    *) odd=no ;;
    esac
    group=
    [ "$1" = 0 ] || group="$(private_group "${1#0 }")"
    while read -r owner owning_group mode path; do
        case " $1 " in
        *" $owner "*) ;;
        *) echo "$path belongs to user id $owner" && return 1 ;;
        esac
        # A FUSE of a user's says what that user likes, and may not say what it is (magic number:
        # statfs(2)).
        case "$([ "$odd" = no ] || [ -L "$path" ] || stat -f -c %t "$path" 2>/dev/null || echo unknown)" in
        65735546 | unknown)
            echo "$path is served by a program (FUSE), which may say that it is root's"
            return 1
            ;;
        esac
        others=$((0$mode & 022))
        [ "$owning_group" != "$group" ] || others=$((others & 02))
        if [ "$others" -eq 0 ] || [ -L "$path" ]; then continue; fi # the mode of a link means nothing
        if [ $((0$mode & 01000)) -ne 0 ] && [ -d "$path" ]; then
            if [ -n "${3:-}" ] || [ "$path" != "${hops##*"$NEWLINE"}" ]; then continue; fi
        fi
        echo "$path can be changed by others (mode $mode)"
        return 1
    done <<END
$facts
END
)

# facts_of HOPS: print owner, group, mode and name of each.
facts_of() (
    set -f
    IFS="$NEWLINE"
    # shellcheck disable=SC2086  # a hop a line
    stat -c '%u %g %a %n' -- $1 2>/dev/null
)

# filesystems_of HOPS: print the magic number of each one's filesystem; "unknown" where one does not tell.
filesystems_of() (
    set -f
    IFS="$NEWLINE"
    # shellcheck disable=SC2086  # a hop a line
    stat -f -c %t -- $1 2>/dev/null || echo unknown
)

# private_group USER-ID: print the id of the user's group where nobody else is in it. Many systems give
# each user one, and let it write what the user makes.
private_group() (
    if [ "$1" = 0 ] || ! have getent; then return 0; fi
    name="$(getent passwd "$1" | cut -d : -f 1)"
    group="$(getent passwd "$1" | cut -d : -f 4)"
    case "$(getent group "$group" | cut -d : -f 1,4)" in
    "$name:" | "$name:$name") ;;
    *) return 0 ;;
    esac
    getent passwd | awk -F : -v user="$1" -v group="$group" '$4 == group && $3 != user { exit 1 }' || return 0
    echo "$group"
)

# Print the user id of who made us root, where that is told. Who may do that may own what root runs here.
caller_id() {
    case "${SUDO_UID:-${PKEXEC_UID:-}}" in
    '' | *[!0-9]*) [ -z "${DOAS_USER:-}" ] || id -u "$DOAS_USER" 2>/dev/null || : ;;
    *) echo "${SUDO_UID:-$PKEXEC_UID}" ;;
    esac
}

# check_trust FOLDER NAME...: end here where others than root, and who made us root, can change what is
# about to be run as root: the way to the folder, and what lies below it under these names.
check_trust() {
    is_root || return 0
    trust_folder="$1"
    trust_caller="$(caller_id)"
    shift
    if trust_why="$(may_trust "0${trust_caller:+ $trust_caller}" "$trust_folder")"; then
        trust_why="$(changeable_below "$trust_folder" "${trust_caller:-0}" "$@")"
        [ -n "$trust_why" ] || return 0
    fi
    fail "$EXIT_ENVIRONMENT" "root is not to run what others can change: $trust_why" \
        "copy it to a place of root's own: cp -R $trust_folder /root/; or let its owner call this by sudo"
}

# changeable_below FOLDER OWNER NAME...: print one thing that others than root and the owner can change.
changeable_below() (
    cd "$1" || exit
    owner="$2"
    shift 2
    group="$(private_group "$owner")"
    found="$(find "$@" \( ! -user 0 ! -user "$owner" -o ! -type l \( -perm -002 -o \
        -perm -020 ${group:+! -group "$group"} \) \) -print 2>&1 | head -n 1)"
    [ -z "$found" ] || echo "$PWD/$found belongs to another user, or can be changed by others"
)

# What a caller's environment may not decide for root: which code is loaded into the programs started.
# Names of variables; a line of another one's value that looks like one does no harm.
unset_loaders() {
    for name in $(env | sed -n 's/^\([A-Z][A-Z0-9_]*\)=.*/\1/p'); do
        case "$name" in
        PYTHON?* | PYENV_* | PERL* | GIT_* | LD_PRELOAD | LD_AUDIT | GCONV_PATH | OPENSSL_CONF | OPENSSL_MODULES | \
            OPENSSL_ENGINES | SSLKEYLOGFILE | BASH_ENV | ENV | CDPATH | LOCPATH | NLSPATH | TERMINFO* | TERMCAP) unset "$name" ;;
        # What stands for the system bus, in tar's options and rpm's macros may be a program.
        DBUS_* | SYSTEMD_* | SYSTEMCTL_* | TAR_OPTIONS | RPM_CONFIGDIR | DPKG_* | LUA_*) unset "$name" ;;
        # Where packages come from; only the very files that packaging/locked names are taken.
        PIP_CONFIG_FILE | PIP_INDEX_URL | PIP_EXTRA_INDEX_URL | PIP_TRUSTED_HOST | PIP_PROXY | PIP_CERT | \
            PIP_FIND_LINKS | PIP_NO_INDEX | PIP_CACHE_DIR | PIP_NO_CACHE_DIR | PIP_RETRIES | PIP_TIMEOUT | PIP_DEFAULT_TIMEOUT) ;;
        PIP_*) unset "$name" ;; # PIP_PYTHON names a program, PIP_LOG a file to write
        LANG | LANGUAGE | LC_*) case "$(printenv "$name")" in */*) unset "$name" ;; esac ;;
        esac
    done
}

# trusted_path PATH: print the folders of a search path that are root's, a colon after each.
trusted_path() (
    set -f
    IFS=:
    for folder in $1; do
        case "$folder" in /*) ! may_trust 0 "$folder" >/dev/null || printf '%s:' "$folder" ;; esac
    done
)

# Root's programs, their settings and what they keep come from places of root's own, whatever the
# caller's environment says: `su` keeps a user's PATH, and some ways to become root a user's HOME.
settle_as_root() {
    unset_loaders
    callers_path="$(trusted_path "$callers_path")"
    case "${HOME:-}" in
    /*) may_trust 0 "$HOME" >/dev/null || HOME= ;;
    *) HOME= ;;
    esac
    [ -n "$HOME" ] || HOME="$(getent passwd 0 | cut -d : -f 6)"
    export HOME="${HOME:-/root}"
    # By these apt, git, pip and rpm find what they are told.
    for name in XDG_CACHE_HOME XDG_CONFIG_HOME XDG_CONFIG_DIRS PIP_CONFIG_FILE PIP_CERT PIP_CACHE_DIR \
        APT_CONFIG; do
        value=
        eval "value=\"\${$name:-/}\""
        [ "$value" = /dev/null ] || may_trust 0 "$(nearest "$value")" >/dev/null || unset "$name"
    done
    if [ -n "${TMPDIR:-}" ] && ! why="$(may_trust 0 "$TMPDIR" sticky)"; then
        say "not using TMPDIR: $why"
        unset TMPDIR
    fi
}

# nearest PATH: print what there is of it already; the rest will be made by us.
nearest() (
    path="$1"
    while [ ! -e "$path" ] && [ ! -L "$path" ]; do
        case "$path" in
        */*) path="${path%/*}" ;;
        *) path= ;;
        esac
        path="${path:-/}"
    done
    printf '%s\n' "$path"
)

# From here on a relative name is one of the folder that this program was called in, wherever we go.
called_in="$PWD"

# absolute PATH: print it as it is seen from that folder.
absolute() {
    case "$1" in
    /*) printf '%s\n' "$1" ;;
    *) printf '%s/%s\n' "$called_in" "$1" ;;
    esac
}

# choose PYTHON: what `find_python` is to try first. A name without a slash is looked up on the PATH.
choose() {
    case "$1" in
    */*) PYTHON="$(absolute "$1")" ;;
    *) PYTHON="$1" ;;
    esac
    export PYTHON
}

# choose_only PYTHON: the same, and no other one is taken where it does not serve.
choose_only() {
    choose "$1"
    no_other_python=yes
}

no_other_python=no
[ -z "${PYTHON:-}" ] || choose "$PYTHON"
[ -z "${TMPDIR:-}" ] || TMPDIR="$(absolute "$TMPDIR")"
callers_path="${PATH:-/usr/bin:/bin}"
PATH="$SYSTEM_PATH"
if have id && is_root; then settle_as_root; fi
# Debian keeps mkfs.* and losetup in sbin, which an ordinary user's PATH lacks.
if have id && is_root; then
    PATH="$callers_path$SYSTEM_PATH"
else
    PATH="$callers_path:/usr/local/sbin:/usr/sbin:/sbin"
fi
export PATH

# --- Python ----------------------------------------------------------------------------------
#
# Always with -I: nothing is imported from the folder that it is started in, nor where PYTHON* points.

# Print the first Python that is new enough; PYTHON in the environment goes first.
find_python() {
    others="python3 python3.14 python3.13 python3.12 python3.11 python3.10 /usr/bin/python3"
    [ "$no_other_python" = no ] || others=
    for candidate in ${PYTHON:+"$PYTHON"} $others; do
        found="$(command -v "$candidate")" || continue
        found="$(absolute "$found")"
        if found="$(real_python "$found")"; then
            printf '%s\n' "$found"
            return 0
        fi
    done
    return 1
}

# real_python PROGRAM: print the interpreter, another file where the program is a chooser of versions;
# fail where it is too old, or others could change what root runs.
real_python() (
    cd /
    program="$1"
    set --
    if is_root; then
        may_trust 0 "$program" >/dev/null || return 1
        # A chooser goes by its environment.
        set -- env -i PATH="$PATH" HOME="$HOME" ${LD_LIBRARY_PATH:+LD_LIBRARY_PATH="$LD_LIBRARY_PATH"}
    fi
    tell='import sys; print(sys.executable); sys.exit(sys.version_info < (3, 10))'
    program="$("$@" "$program" -I -c "$tell" 2>/dev/null)" || return 1
    ! is_root || may_trust 0 "$program" >/dev/null || return 1
    printf '%s\n' "$program"
)

# refuse_foreign PYTHON: end here where that is one that root must not run.
refuse_foreign() {
    if is_root && named="$(command -v "$1")" && ! why="$(may_trust 0 "$(absolute "$named")")"; then
        fail "$EXIT_ENVIRONMENT" "root is not to run $1: $why" "name a Python that root alone can change: PYTHON=..."
    fi
}

require_python() {
    [ -z "${PYTHON:-}" ] || refuse_foreign "$PYTHON"
    find_python && return
    [ "$no_other_python" = no ] || fail "$EXIT_USAGE" "$PYTHON is no Python 3.10 or newer" \
        "leave out --python to take the system's"
    refuse_foreign python3
    fail "$EXIT_ENVIRONMENT" "no Python 3.10 or newer was found" \
        "install one (Debian, Ubuntu: apt-get install python3), or name one: PYTHON=/path/to/python3 $0 ..."
}

# --- Debian packages -------------------------------------------------------------------------

APT_UPDATED=no
APT_INSTALLED=

apt_get() {
    # The lock's time limit lets another apt-get on the machine finish first.
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

POLICY=/usr/sbin/policy-rc.d

# Run a command while Debian's package scripts may start no service: the tests start servers of
# their own. A policy that is there already is left alone.
without_services() {
    if [ -e "$POLICY" ]; then
        "$@"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' >"$POLICY" && chmod 755 "$POLICY"
    "$@"
    without_status=$?
    rm -f "$POLICY"
    return "$without_status"
}

# Succeed where every named Debian package is installed.
apt_has() {
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || return 1
    done
}

# Succeed where Debian counts a package as a part of every system, which apt does not let go.
apt_holds_on_to() {
    dpkg-query -W -f '${Essential} ${Protected} ${Important}' "$1" 2>/dev/null | grep -qw yes
}

# Install Debian packages that are missing; fail where that cannot be. APT_INSTALLED names what was
# added and can go again.
apt_install() {
    missing=
    for package in "$@"; do
        apt_has "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if ! have apt-get || ! is_root; then
        return 1
    fi
    if [ "$APT_UPDATED" = no ]; then
        apt_get update >&2 || say "apt-get update failed; going on with the package lists at hand"
        APT_UPDATED=yes
    fi
    say "installing Debian packages:$missing"
    apt_log="$(mktemp)" || return 1
    # shellcheck disable=SC2086  # a list of package names
    if ! without_services apt_get install -y --no-install-recommends $missing >"$apt_log" 2>&1; then
        cat "$apt_log" >&2
        rm -f "$apt_log"
        return 1
    fi
    rm -f "$apt_log"
    for package in $missing; do
        apt_holds_on_to "$package" || APT_INSTALLED="$APT_INSTALLED $package"
    done
}

# tell_apt_removal PACKAGES: say how what was installed goes again. `apt-get remove` would leave what
# came along with it.
tell_apt_removal() {
    say "  to remove them, and what came with them: apt-get autoremove --purge $1"
}

# --- virtual environments ----------------------------------------------------------------------

# python_version PYTHON -> 3.11
python_version() {
    "$1" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])'
}

# make_venv PYTHON DIR: make a virtual environment; Debian keeps ensurepip in a package of its own.
make_venv() {
    if ! "$1" -I -c 'import ensurepip, venv' 2>/dev/null; then
        venv_package="python$(python_version "$1")-venv"
        if ! apt_install "$venv_package" || ! "$1" -I -c 'import ensurepip, venv' 2>/dev/null; then
            fail "$EXIT_ENVIRONMENT" "$1 cannot make virtual environments: its ensurepip module is missing" \
                "as root: apt-get install $venv_package"
        fi
    fi
    rm -rf "$2" || fail "$EXIT_ENVIRONMENT" "the old virtual environment $2 cannot be removed"
    "$1" -I -m venv "$2" >&2 || fail "$EXIT_ENVIRONMENT" "the virtual environment $2 could not be made" \
        "see the message above; is there room and write permission?"
}

# pip_install_locked PYTHON-OF-VENV GROUP... [-- ARGUMENTS...]: what packaging/locked names. Nothing but the
# very files that were tried is installed, and nothing of theirs is run meanwhile: no build of sources.
pip_install_locked() {
    locked_python="$1"
    shift
    for locked_word; do
        shift
        if [ "$locked_word" = -- ]; then break; fi
        set -- "$@" --requirement "$checkout/packaging/locked/$locked_word.txt"
    done
    pip_install "$locked_python" --require-hashes --only-binary :all: "$@"
}

# pip_install PYTHON-OF-VENV ARGUMENTS...: quiet unless it fails.
pip_install() {
    venv_python="$1"
    shift
    pip_log="$(mktemp)" || return 1
    if ! "$venv_python" -I -m pip install --quiet --disable-pip-version-check --no-input "$@" \
        >"$pip_log" 2>&1 </dev/null; then
        cat "$pip_log" >&2
        rm -f "$pip_log"
        fail "$EXIT_ENVIRONMENT" "pip could not install what is needed" \
            "the lines above say why; pip needs a package index that it can reach (see: pip config list)"
    fi
    rm -f "$pip_log"
}

# Print the time of the checkout's last commit in seconds since 1970; a fixed one where there is none.
commit_time() {
    git -C "$checkout" rev-list --max-count=1 --timestamp HEAD 2>/dev/null | cut -d ' ' -f 1 | grep . || echo 1767225600
}

# Print one hash over the named files' paths and contents.
hash_files() {
    sort | while IFS= read -r file; do
        printf '%s\n' "$file"
        sha256sum <"$file"
    done | sha256sum | cut -d ' ' -f 1
}
