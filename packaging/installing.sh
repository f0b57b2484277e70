# shellcheck shell=sh
# shellcheck disable=SC2154  # checkout is set by install.sh
# `install.sh install` and `install.sh uninstall`. Read with `.` after setup.sh; POSIX sh.
#
# The manifest lies in the tree, so that it comes and goes with it in one rename. It names everything
# before anything outside the tree is touched: whatever interrupts an installation, the next `install`
# finishes it and `uninstall` undoes it. Its lines: KIND CHECKSUM PATH, in the order of placing.
#   tree, file, link   put down; removed by uninstall
#   conf               configuration: a changed one is left alone, uninstall keeps it, --purge does not
#   hook               a package manager's registration: placed last, removed first (by REGISTER)
#   folder             made by us; removed when empty
#   old-…              from the version before, not part of this one: about to be removed
#   debian             a Debian package that was installed to build with; only told of

PREFIX=/opt/snap-self
NEXT=/opt/.snap-self.next
BEFORE=/opt/.snap-self.before
MANIFEST="$PREFIX/install-manifest"
CONFIG=/etc/snap-self
STATE=/var/lib/snap-self
RUN=/run/snap-self
MARKER="$RUN/frozen.json"
REGISTER=/usr/share/snap-self/hooks/register
LOCK_WAIT_S=60
# MiB: the tree beside the one before; and what building takes.
ROOM_TO_PLACE=400
ROOM_TO_BUILD=900

# --- checks: nothing is changed --------------------------------------------------------------

check_root() {
    is_root || fail "$EXIT_ENVIRONMENT" "$1 must be run by root" "sudo $0 $1"
}

check_machine() {
    [ "$(uname -s)" = Linux ] || fail "$EXIT_ENVIRONMENT" "this is $(uname -s); snap-self is for Linux"
    case "$(uname -m)" in
    x86_64 | aarch64) ;;
    *) fail "$EXIT_ENVIRONMENT" "snap-self does not run on $(uname -m), only on x86_64 and aarch64" ;;
    esac
}

# Two owners of the same files would undo each other's work.
check_not_packaged() {
    if have dpkg-query; then
        package_status="$(dpkg-query -W -f '${db:Status-Status}' snap-self 2>/dev/null)" || package_status=
        case "$package_status" in
        '' | not-installed) ;;
        config-files)
            fail "$EXIT_ENVIRONMENT" "the removed Debian package snap-self still owns its configuration" \
                "dpkg --purge snap-self (it deletes $CONFIG/config.toml: keep a copy if you changed it)"
            ;;
        installed)
            fail "$EXIT_ENVIRONMENT" "snap-self is installed as a Debian package" \
                "keep that one (apt-get install --only-upgrade snap-self), or first: apt-get remove --purge snap-self"
            ;;
        *)
            fail "$EXIT_ENVIRONMENT" "the Debian package snap-self is in the state $package_status" \
                "first mend or remove it: dpkg --configure snap-self, or dpkg --remove snap-self"
            ;;
        esac
    fi
    if have rpm && rpm -q snap-self >/dev/null 2>&1; then
        fail "$EXIT_ENVIRONMENT" "snap-self is installed as an rpm package" \
            "keep that one (dnf upgrade snap-self), or first: dnf remove snap-self"
    fi
}

check_places() {
    for place in /opt /usr /etc /var; do
        [ -d "$place" ] || mkdir -p "$place" 2>/dev/null || :
        [ -w "$place" ] || fail "$EXIT_ENVIRONMENT" "$place cannot be written" \
            "is its filesystem mounted read-only? see: findmnt --target $place"
    done
    if [ -e "$PREFIX" ] && [ ! -f "$MANIFEST" ]; then
        fail "$EXIT_ENVIRONMENT" "$PREFIX is there and was not made by install.sh" \
            "if it is not needed, move it away: mv $PREFIX $PREFIX.old"
    fi
}

# check_room FOLDER MEBIBYTES WHAT-FOR
check_room() {
    free_kib="$(df -Pk "$1" 2>/dev/null | awk 'NR == 2 { print $4 }')"
    [ "${free_kib:-0}" -ge $(($2 * 1024)) ] || fail "$EXIT_ENVIRONMENT" \
        "$1 has $((${free_kib:-0} / 1024)) MiB free; $2 MiB are needed $3" \
        "make room there$([ "$1" = /opt ] || echo ", or name another folder: TMPDIR=/some/folder $0 install")"
}

check_tree() { # of --tree
    [ -x "$1$PREFIX/bin/snap-self" ] || fail "$EXIT_ENVIRONMENT" "$1 holds no $PREFIX/bin/snap-self" \
        "--tree wants what packaging/build.sh --output made"
    check_trust "$1" opt
}

# A freeze belongs to a run; what is replaced below it could not end it.
check_not_frozen() {
    [ ! -e "$MARKER" ] || fail "$EXIT_ENVIRONMENT" "a freeze of snap-self was left behind, or one is going on" \
        "snap-self thaw"
}

# What is in the way: paths to be placed that hold something which no installation of ours put there.
check_conflicts() { # NEW-MANIFEST
    ours=
    [ ! -f "$MANIFEST" ] || ours="$(cut -d ' ' -f 3- "$MANIFEST")"
    while read -r kind _ path; do
        case "$kind" in file | link) ;; *) continue ;; esac
        [ -e "$path" ] || [ -L "$path" ] || continue
        ! listed "$path" "$ours" || continue
        if [ "$kind" = link ]; then
            [ "$(readlink "$path")" != "$(readlink "$staged$path")" ] || continue
        elif cmp -s "$path" "$staged$path"; then
            continue
        fi
        printf '%s\n' "$path"
    done <"$1" >"$work/conflicts"
    [ ! -s "$work/conflicts" ] || fail "$EXIT_ENVIRONMENT" \
        "these files are in the way, and install.sh did not put them there: $(tr '\n' ' ' <"$work/conflicts")" \
        "was snap-self installed in another way (pip, a copy)? Remove that first"
}

# listed LINE LINES: succeed where it is one of them. Starts no program: it is asked for every file.
listed() {
    case "$NEWLINE$2$NEWLINE" in *"$NEWLINE$1$NEWLINE"*) ;; *) return 1 ;; esac
}

# --- what to place ---------------------------------------------------------------------------

has_systemd() {
    [ -d /run/systemd/system ] || [ -x /usr/lib/systemd/systemd ] || [ -x /lib/systemd/systemd ]
}

systemd_runs() {
    [ -d /run/systemd/system ] && have systemctl
}

# Fill $staged with everything as it will lie on the machine.
stage() {
    if [ -z "$tree" ]; then
        build_tools
        tree="$work/tree"
        "$checkout/packaging/build.sh" --output "$tree" || fail "$EXIT_ENVIRONMENT" \
            "snap-self could not be built" "the lines above say why; nothing was changed"
    fi
    "$checkout/packaging/stage.sh" "$staged" plain --tree "$tree" || fail "$EXIT_ENVIRONMENT" \
        "this checkout of snap-self is not whole" "the lines above say why; nothing was changed"
    if ! has_systemd; then
        rm -rf "$staged/usr/lib/systemd" "$staged/usr/lib/tmpfiles.d"
        say "no systemd here: its units are left out. No freeze survives a boot; the next snap-self command ends a stale one"
    fi
    # To uninstall without the checkout.
    mkdir -p "$staged$PREFIX/installer/packaging"
    cp "$checkout/install.sh" "$staged$PREFIX/installer/"
    cp "$checkout/packaging/setup.sh" "$checkout/packaging/installing.sh" "$staged$PREFIX/installer/packaging/"
    chown -R 0:0 "$staged"
}

build_tools() {
    require_python >/dev/null
    have patchelf && have strip && have readelf && return
    apt_install patchelf binutils || fail "$EXIT_ENVIRONMENT" "patchelf or binutils is missing, which building needs" \
        "install them (dnf install patchelf binutils), or build elsewhere and use --tree; see: $0 --help"
}

checksum() {
    sha256sum <"$1" | cut -d ' ' -f 1
}

# Print the new manifest, and what the one before names beyond it.
make_manifest() {
    (cd "$staged$PREFIX" && find . ! -type d) | sed "s,^\.,tree - $PREFIX," | LC_ALL=C sort >"$work/entries"
    (cd "$staged" && find . -path ".$PREFIX" -prune -o -type f -exec sha256sum {} +) |
        sed 's,^\([^ ]*\)  \./,\1 /,' | LC_ALL=C sort -k 2 >"$work/sums"
    (cd "$staged" && find . -path ".$PREFIX" -prune -o -type l -print) | sed 's,^\.,,' | LC_ALL=C sort >"$work/links"
    placed="$(cut -d ' ' -f 2- "$work/sums" && cat "$work/links")"
    folders=
    {
        while read -r sum path; do entry_of "$sum" "$path"; done <"$work/sums"
        while read -r path; do
            missing_folders "${path%/*}"
            printf 'link - %s\n' "$path"
        done <"$work/links"
    } >>"$work/entries"
    printf 'tree - %s\n' "$MANIFEST"
    for kinds in tree 'folder|file|conf' link; do
        grep -E "^($kinds) " "$work/entries" || :
    done
    for package in $APT_INSTALLED; do printf 'debian - %s\n' "$package"; done
    [ ! -f "$MANIFEST" ] || while read -r kind sum path; do
        case "$kind" in
        folder) listed "$path" "$folders" || printf 'folder - %s\n' "$path" ;;
        hook | debian) printf '%s - %s\n' "$kind" "$path" ;;
        file | link | conf) listed "$path" "$placed" || printf 'old-%s %s %s\n' "$kind" "$sum" "$path" ;;
        old-*) listed "$path" "$placed" || printf '%s %s %s\n' "$kind" "$sum" "$path" ;;
        esac
    done <"$MANIFEST"
}

entry_of() { # CHECKSUM FILE
    missing_folders "${2%/*}"
    case "$2" in
    "$CONFIG"/hook-guard) printf 'file %s %s\n' "$1" "$2" ;;
    "$CONFIG"/*) printf 'conf %s %s\n' "$1" "$2" ;;
    *) printf 'file %s %s\n' "$1" "$2" ;;
    esac
}

# Print folders that are not there yet, outermost first, each once. The root's name is empty.
missing_folders() {
    [ ! -d "$1/" ] || return 0
    case "$1" in "$CONFIG" | "$CONFIG"/*) return 0 ;; esac # stays, with what is in it
    missing_folders "${1%/*}"
    listed "$1" "$folders" || {
        folders="$folders$NEWLINE$1"
        printf 'folder - %s\n' "$1"
    }
}

# --- placing ---------------------------------------------------------------------------------

# Take the lock of snap-self's runs: none is going on then, and none begins in the middle.
lock_runs() {
    [ -e "$STATE/lock" ] && have flock || return 0
    exec 8<>"$STATE/lock"
    flock -n 8 && return
    say "a run of snap-self is going on; waiting for its end, at most $LOCK_WAIT_S s"
    flock -w "$LOCK_WAIT_S" 8 || fail "$EXIT_ENVIRONMENT" "a run of snap-self is still going on" \
        "try again when it has ended; nothing was changed"
}

# Let two folders change places in one step, so that a hook called meanwhile finds one of them.
exchange() {
    "$1/bin/python3" -IS - "$1" "$2" 2>/dev/null <<'PYTHON'
import ctypes
import os
import sys

AT_FDCWD, RENAME_EXCHANGE = -100, 2
rename = ctypes.CDLL(None, use_errno=True).renameat2
old, new = map(os.fsencode, sys.argv[1:])
sys.exit(1 if rename(AT_FDCWD, old, AT_FDCWD, new, RENAME_EXCHANGE) else 0)
PYTHON
}

# Print the manifest with the configuration as it lies there now: "-" where none was placed yet.
provisional() {
    while read -r kind sum path; do
        [ "$kind" != conf ] || sum="$(placed_earlier "$path")"
        printf '%s %s %s\n' "$kind" "$sum" "$path"
    done <"$work/manifest"
}

# Print the checksum with which the manifest before names a configuration file, else "-".
placed_earlier() {
    [ ! -f "$work/manifest.before" ] ||
        found="$(grep -E "^conf [^ ]+ $1\$" "$work/manifest.before" | cut -d ' ' -f 2)"
    printf '%s\n' "${found:--}"
    found=
}

put_tree() {
    rm -rf "$NEXT" "$BEFORE"
    cp -a "$staged$PREFIX" "$NEXT"
    provisional >"$NEXT/install-manifest"
    chmod 644 "$NEXT/install-manifest"
    # A power cut right after the rename must not leave empty files under the old names.
    sync -f "$NEXT" 2>/dev/null || sync
    placing_tree=yes
    if [ ! -e "$PREFIX" ]; then
        mv "$NEXT" "$PREFIX"
    elif exchange "$PREFIX" "$NEXT"; then
        mv "$NEXT" "$BEFORE"
    else
        mv "$PREFIX" "$BEFORE"
        mv "$NEXT" "$PREFIX"
    fi
    if ! version="$("$PREFIX/bin/snap-self" --version 2>"$work/complaint" </dev/null)"; then
        cat "$work/complaint" >&2
        put_tree_back
        placing_tree=no
        fail "$EXIT_ENVIRONMENT" "the new $PREFIX/bin/snap-self does not run here" "what was there before is there again"
    fi
    rm -rf "$BEFORE"
    placing_tree=no
    say "placed $PREFIX ($(grep -c '^tree ' "$work/manifest") files; the manifest in it names each)"
}

put_tree_back() {
    if [ -d "$BEFORE" ]; then
        rm -rf "$PREFIX"
        mv "$BEFORE" "$PREFIX"
    elif [ -d "$NEXT" ] && [ -d "$PREFIX" ] && [ -f "$NEXT/install-manifest" ]; then
        : # the two did not change places yet
    else
        rm -rf "$PREFIX"
    fi
    rm -rf "$NEXT"
}

# After a kill between two renames the tree is there under its other name.
recover() {
    if [ ! -e "$PREFIX" ] && [ -f "$BEFORE/install-manifest" ]; then
        say "an installation was interrupted; going back to the version before it first"
        mv "$BEFORE" "$PREFIX"
    fi
    rm -rf "$NEXT" "$BEFORE"
}

# Set `beside` to the name that a file has until it is whole; the dot keeps programs from reading it.
name_beside() {
    beside="${1%/*}/.${1##*/}.snap-self-new"
}

# Remove what an installation that was killed has left under such a name.
forget() {
    if [ -e "$1" ] || [ -L "$1" ]; then rm -f "$1"; fi
}

# put SOURCE TARGET: beside it first, then by rename.
put() {
    [ -d "${2%/*}/" ] || mkdir -p "${2%/*}"
    name_beside "$2"
    forget "$beside"
    if ! cp -P -p "$1" "$beside" || ! mv -f "$beside" "$2"; then
        rm -f "$beside"
        fail "$EXIT_ENVIRONMENT" "$2 could not be placed" "mend that, then repeat: $0 install"
    fi
}

# facts_below FOLDER PROGRAM...: have a program tell of all files of the manifest that lie there: "FACT PATH".
facts_below() (
    cd "$1" || exit
    shift
    sed -n 's,^file [^ ]* /,./,p' "$work/manifest" | xargs -d '\n' "$@" 2>/dev/null | sed 's,  *\./, /,' | LC_ALL=C sort
)

put_files() {
    unchanged=0
    sums_there="$(facts_below / sha256sum)"
    facts_below "$staged" stat -c '%a %n' >"$work/modes"
    modes_there="$(facts_below / stat -c '%a %n' | LC_ALL=C comm -12 - "$work/modes" | cut -d ' ' -f 2-)"
    while read -r kind sum path; do
        case "$kind" in
        file)
            if [ -f "$path" ] && [ ! -L "$path" ] && listed "$sum $path" "$sums_there" && listed "$path" "$modes_there"; then
                unchanged=$((unchanged + 1))
                continue
            fi
            put "$staged$path" "$path"
            say "placed $path"
            ;;
        link)
            if [ "$(readlink "$path")" = "$(readlink "$staged$path")" ]; then
                unchanged=$((unchanged + 1))
                continue
            fi
            put "$staged$path" "$path"
            say "placed $path -> $(readlink "$path")"
            ;;
        conf) put_configuration "$path" "$sum" ;;
        esac
    done <"$work/manifest"
    [ "$unchanged" -eq 0 ] || say "$unchanged more files are there already as they should be"
}

# Of a configuration file the person's changes count: a changed or deleted one is left so.
put_configuration() {
    earlier="$(placed_earlier "$1")"
    if [ ! -e "$1" ]; then
        if [ "$earlier" != - ]; then
            say "left out $1, which was deleted since it was placed"
            return
        fi
    elif [ "$(checksum "$1")" = "$2" ]; then
        return
    elif [ "$(checksum "$1")" != "$earlier" ]; then
        put "$staged$1" "$1.new"
        say "kept $1, which is not as it was placed; this version's is $1.new"
        return
    fi
    put "$staged$1" "$1"
    say "placed $1"
}

remove_old() {
    while read -r kind _ path; do
        case "$kind" in
        old-conf) say "left $path, which this version does not use any more" ;;
        old-*) remove_one "$path" ;;
        esac
    done <"$work/manifest"
    grep -v '^old-' "$work/manifest" >"$work/manifest.done"
}

# Each registration calls the guard in /etc/snap-self, which does nothing where the agent is gone.
register_hooks() {
    grep '^hook ' "$work/manifest.done" >"$work/hooks" || :
    grep -v '^hook ' "$work/manifest.done" >"$work/manifest.plain"
    registered=yes
    if [ "$with_hooks" = yes ]; then
        "$REGISTER" add >"$work/registered" || registered=no
        sed -n 's/^placed /hook - /p' "$work/registered" >>"$work/hooks"
    else
        "$REGISTER" remove >"$work/registered" || registered=no
        : >"$work/hooks"
    fi
    while read -r line; do say "$line"; done <"$work/registered"
    LC_ALL=C sort -u "$work/hooks" | cat "$work/manifest.plain" - >"$work/manifest.done"
    put "$work/manifest.done" "$MANIFEST"
    [ "$registered" = yes ] || fail "$EXIT_ENVIRONMENT" \
        "not every package manager could be told of snap-self" "mend that, then repeat: $0 install"
}

activate() {
    for folder in "$CONFIG/conf.d" "$CONFIG/hooks.d" "$CONFIG/checks.d"; do
        [ -d "$folder" ] || { mkdir -p "$folder" && chmod 755 "$folder" && say "made $folder"; }
    done
    if [ -e /usr/lib/systemd/system/snap-self-thaw.service ] && have systemctl; then
        ! systemd_runs || systemctl daemon-reload
        systemctl --quiet enable snap-self-thaw.service && say "enabled snap-self-thaw.service"
        systemctl --quiet enable snap-self-unmount.service && say "enabled snap-self-unmount.service"
        systemctl --quiet enable snap-self-confirm.service && say "enabled snap-self-confirm.service"
        ! systemd_runs || systemctl start snap-self-thaw.service
        ! systemd_runs || systemctl start --no-block snap-self-unmount.service
    fi
    mkdir -p "$RUN"
    chmod 711 "$RUN" # others may see that a file is there, whoever made it
    if have restorecon && have selinuxenabled && selinuxenabled; then
        cut -d ' ' -f 3- "$work/manifest" | grep '^/' | xargs -d '\n' restorecon -F 2>/dev/null || :
        restorecon -RF "$PREFIX" "$CONFIG" 2>/dev/null || :
    fi
}

# Whatever way the installation ends: a tree that was not tried goes, the one before comes back.
leave_install() {
    [ "$placing_tree" = no ] || put_tree_back
    rm -rf "$work" "$NEXT"
}

verb_install() {
    tree=
    with_hooks=yes
    only_check=no
    while [ $# -gt 0 ]; do
        case "$1" in
        -h | --help) usage && return ;;
        --check) only_check=yes ;;
        --no-hooks) with_hooks=no ;;
        --tree | --python)
            [ -n "${2:-}" ] || usage_error "$1 needs a value"
            if [ "$1" = --tree ]; then tree="$(absolute "$2")"; else choose_only "$2"; fi
            shift
            ;;
        *) usage_error "unknown option of install: $1" ;;
        esac
        shift
    done
    umask 022
    check_root install
    check_trust "$checkout" install.sh packaging
    [ ! -d "$checkout/agent" ] || check_trust "$checkout" agent README.md CHANGELOG.md SECURITY.md LICENSE
    check_machine
    check_not_packaged
    check_places
    check_not_frozen
    check_room /opt "$ROOM_TO_PLACE" "for $PREFIX"
    if [ -n "$tree" ]; then
        check_tree "$tree"
    elif [ ! -d "$checkout/agent" ]; then
        fail "$EXIT_USAGE" "this copy of install.sh can only uninstall" "install from a checkout of snap-self"
    else
        require_python >/dev/null
        check_room "${TMPDIR:-/tmp}" "$ROOM_TO_BUILD" "to build"
    fi
    if [ "$only_check" = yes ]; then
        say "nothing is in the way of an installation"
        return
    fi
    install_now
}

install_now() {
    placing_tree=no
    work="$(mktemp -d "${TMPDIR:-/tmp}/snap-self-install.XXXXXX")"
    staged="$work/root"
    found=
    trap leave_install EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    recover
    stage
    ! [ -f "$MANIFEST" ] || cp "$MANIFEST" "$work/manifest.before"
    make_manifest >"$work/manifest"
    check_conflicts "$work/manifest"
    lock_runs
    check_not_frozen
    put_tree
    put_files
    remove_old
    activate
    register_hooks
    exec 8>&-
    say "installed $version; to remove it: $PREFIX/installer/install.sh uninstall"
    say "next: give the instance its role (snap-self policy prints it and the steps), then: snap-self doctor"
}

# --- removing --------------------------------------------------------------------------------

remove_one() {
    name_beside "$1"
    forget "$beside"
    [ -e "$1" ] || [ -L "$1" ] || return 0
    rm -f "$1" || fail "$EXIT_ENVIRONMENT" "$1 could not be removed" "mend that, then repeat: $0 uninstall"
    say "removed $1"
}

# remove_kinds REGEX
remove_kinds() {
    grep -E "^(old-)?($1) " "$work/manifest" >"$work/chosen" || return 0
    while read -r _ _ path; do remove_one "$path"; done <"$work/chosen"
}

# First of all, so that no package manager calls what is half removed.
unregister_hooks() {
    if [ -x "$REGISTER" ]; then # also what an interrupted installation did not come to note
        "$REGISTER" remove >"$work/registered" || fail "$EXIT_ENVIRONMENT" \
            "not every package manager could be told that snap-self goes" "mend that, then repeat: $0 uninstall"
        while read -r line; do say "$line"; done <"$work/registered"
    fi
    remove_kinds hook
}

stop_units() {
    have systemctl && [ -e /usr/lib/systemd/system/snap-self-thaw.service ] || return 0
    # The agent thaws what is left when this one is stopped.
    if systemd_runs; then
        systemctl stop snap-self-unmount.service snap-self-confirm.service snap-self-prune.timer snap-self-verify.timer snap-self-verify.service \
            snap-self-metrics.timer snap-self-metrics.service \
            snap-self-thaw.service 'snap-self-follow@*' 2>/dev/null || :
    fi
    systemctl --quiet disable snap-self-unmount.service snap-self-confirm.service snap-self-prune.timer snap-self-verify.timer snap-self-metrics.timer \
        snap-self-thaw.service 2>/dev/null || :
}

# Nobody renews them any more; what is left would be served, and alert, for ever.
remove_metrics() {
    [ ! -x "$PREFIX/bin/snap-self" ] || "$PREFIX/bin/snap-self" metrics --remove || :
}

end_freeze() {
    [ -e "$MARKER" ] || return 0
    say "ending a freeze that was left behind"
    "$PREFIX/bin/snap-self" thaw || fail "$EXIT_ENVIRONMENT" "a filesystem may still be frozen; nothing was removed" \
        "see the lines above; snap-self is still needed to end it"
}

# Files in the tree that the manifest does not name are somebody's: they stay, and are told of.
remove_tree() {
    sed -n 's/^tree [^ ]* //p' "$work/manifest" >"$work/tree"
    grep -vxF -e "$MANIFEST" "$work/tree" | grep -v "^$PREFIX/installer/" | xargs -d '\n' rm -f
    rm -rf "$PREFIX/installer" "$MANIFEST"
    find "$PREFIX" -depth -type d -exec rmdir {} \; 2>/dev/null || :
    if [ -e "$PREFIX" ]; then
        say "left in $PREFIX, since install.sh did not put it there:"
        find "$PREFIX" ! -type d | sed 's/^/  /' >&2
    else
        say "removed $PREFIX ($(wc -l <"$work/tree") files)"
    fi
}

remove_folders() {
    sed -n 's/^folder - //p' "$work/manifest" | LC_ALL=C sort -r | while read -r path; do
        if rmdir "$path" 2>/dev/null; then say "removed $path"; fi
    done
}

# What is remembered until the next boot is of no use to anybody without the agent.
remove_run() {
    rmdir /run/ecs-simulator 2>/dev/null || : # of the demo's simulated clouds
    if [ -e "$MARKER" ] || [ ! -e "$RUN" ]; then return 0; fi
    rm -rf "$RUN"
    say "removed $RUN"
}

tell_what_stays() {
    for place in "$CONFIG" "$STATE"; do
        [ ! -e "$place" ] || say "left: $place (uninstall --purge removes it)"
    done
    debian="$(sed -n 's/^debian - //p' "$work/manifest" | sort -u | tr '\n' ' ')"
    [ -z "$debian" ] || say "left: Debian packages that building needed: $debian"
    [ -z "$debian" ] || tell_apt_removal "${debian% }"
    say "snapshots in the cloud stay, and cost money until they are deleted or their date comes"
}

purge() {
    for place in "$CONFIG" "$STATE" "$RUN"; do
        [ ! -e "$place" ] || { rm -rf "$place" && say "removed $place"; }
    done
}

verb_uninstall() {
    with_purge=no
    while [ $# -gt 0 ]; do
        case "$1" in
        -h | --help) usage && return ;;
        --purge) with_purge=yes ;;
        *) usage_error "unknown option of uninstall: $1" ;;
        esac
        shift
    done
    check_root uninstall
    check_trust "$checkout" install.sh packaging
    check_not_packaged # one that was installed over this installation owns its files now
    recover
    if [ ! -f "$MANIFEST" ]; then
        say "nothing to uninstall: there is no $MANIFEST"
        [ "$with_purge" = no ] || purge
        return
    fi
    work="$(mktemp -d "${TMPDIR:-/tmp}/snap-self-uninstall.XXXXXX")"
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    end_freeze
    lock_runs
    cp "$MANIFEST" "$work/manifest"
    cd /
    unregister_hooks
    stop_units
    remove_metrics
    remove_kinds 'link|file'
    remove_folders
    remove_tree
    ! systemd_runs || systemctl daemon-reload
    exec 8>&-
    remove_run
    [ "$with_purge" = no ] || purge
    tell_what_stays
}
