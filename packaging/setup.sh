# shellcheck shell=sh disable=SC2034  # constants are used by the scripts that read this file
# Set-up steps shared by install.sh and tests/run: a Python, a virtual environment, Debian packages.
# Read with `.`; POSIX sh. Callers set PROGRAM (the name that messages begin with).

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

# Debian keeps mkfs.* and losetup in sbin, which an ordinary user's PATH lacks.
PATH="${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin"
export PATH

# Print the first Python that is new enough; PYTHON in the environment goes first.
find_python() {
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.10 /usr/bin/python3; do
        if have "$candidate" && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

require_python() {
    find_python || fail "$EXIT_ENVIRONMENT" "no Python 3.10 or newer was found" \
        "install one (Debian, Ubuntu: apt-get install python3), or name one: PYTHON=/path/to/python3 $0 ..."
}

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

# Install Debian packages that are missing; fail where that cannot be. APT_INSTALLED names what was added.
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
    APT_INSTALLED="$APT_INSTALLED$missing"
}

# python_version PYTHON -> 3.11
python_version() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'
}

# make_venv PYTHON DIR: make a virtual environment; Debian keeps ensurepip in a package of its own.
make_venv() {
    if ! "$1" -c 'import ensurepip, venv' 2>/dev/null; then
        venv_package="python$(python_version "$1")-venv"
        if ! apt_install "$venv_package" || ! "$1" -c 'import ensurepip, venv' 2>/dev/null; then
            fail "$EXIT_ENVIRONMENT" "$1 cannot make virtual environments: its ensurepip module is missing" \
                "as root: apt-get install $venv_package"
        fi
    fi
    rm -rf "$2" || fail "$EXIT_ENVIRONMENT" "the old virtual environment $2 cannot be removed"
    "$1" -m venv "$2" >&2 || fail "$EXIT_ENVIRONMENT" "the virtual environment $2 could not be made" \
        "see the message above; is there room and write permission?"
}

# pip_install PYTHON-OF-VENV ARGUMENTS...: quiet unless it fails.
pip_install() {
    venv_python="$1"
    shift
    pip_log="$(mktemp)" || return 1
    if ! "$venv_python" -m pip install --quiet --disable-pip-version-check --no-input "$@" \
        >"$pip_log" 2>&1 </dev/null; then
        cat "$pip_log" >&2
        rm -f "$pip_log"
        fail "$EXIT_ENVIRONMENT" "pip could not install what is needed" \
            "the lines above say why; pip needs a package index that it can reach (see: pip config list)"
    fi
    rm -f "$pip_log"
}

# Print one hash over the named files' paths and contents.
hash_files() {
    sort | while IFS= read -r file; do
        printf '%s\n' "$file"
        sha256sum <"$file"
    done | sha256sum | cut -d ' ' -f 1
}
