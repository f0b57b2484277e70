#!/bin/sh
# Build the self-contained tree. See `packaging/build.sh --help`.
set -eu

PROGRAM=packaging/build.sh
case "$0" in */*) checkout="${0%/*}/" ;; *) checkout=. ;; esac
checkout="$(CDPATH='' cd -- "$checkout/.." && pwd)"
# shellcheck source=packaging/setup.sh
. "$checkout/packaging/setup.sh"

usage() {
    cat <<'TEXT'
Usage: packaging/build.sh [OPTION...]

Build snap-self together with an interpreter of its own, all libraries and the C library, so that it
runs on whatever becomes of the system's: DIR/opt/snap-self, to be copied to /opt/snap-self.

Options:
  --output DIR   where to build (default: build/self-contained); what is up to date is kept
  --python PATH  the Python to carry along, 3.10 or newer (default: /usr/bin/python3, else the first on
                 the PATH; PYTHON in the environment goes first)
  --newest       take the newest libraries that pyproject.toml allows, not those of packaging/locked (whose hashes
                 pip compares; packaging/lock.py renews them)
  -h, --help     show this text

It needs patchelf, strip (binutils) and the Python's venv module; pip needs an index that it can reach.
SOURCE_DATE_EPOCH sets the time that all files get (default: that of the last commit).

Example:
  packaging/build.sh --output /tmp/tree && du -sh /tmp/tree/opt/snap-self

Exit status: 0 built; 2 wrong usage; 4 something is missing or failed.
TEXT
}

PREFIX=/opt/snap-self
output="$checkout/build/self-contained"
locked="$checkout/packaging/locked"
newest=no
scratch=

parse_arguments() {
    while [ $# -gt 0 ]; do
        case "$1" in
        -h | --help) usage && exit 0 ;;
        --output | --python)
            [ -n "${2:-}" ] || fail "$EXIT_USAGE" "$1 needs a value" "see: packaging/build.sh --help"
            if [ "$1" = --output ]; then output="$(absolute "$2")"; else choose_only "$2"; fi
            shift
            ;;
        --newest) newest=yes ;;
        *) fail "$EXIT_USAGE" "unknown argument $1" "see: packaging/build.sh --help" ;;
        esac
        shift
    done
}

# The distribution's own Python is preferred: it gets security updates and starts fastest.
choose_python() {
    if [ -z "${PYTHON:-}" ] && [ -x /usr/bin/python3 ]; then
        PYTHON=/usr/bin/python3
        find_python >/dev/null && [ "$(find_python)" = /usr/bin/python3 ] || PYTHON=
    fi
    require_python
}

check_tools() {
    for tool in patchelf strip; do
        have "$tool" || fail "$EXIT_ENVIRONMENT" "$tool is missing" \
            "Debian, Ubuntu: apt-get install patchelf binutils; Fedora, EL: dnf install patchelf binutils"
    done
}

# Print a hash over all that the tree is made from but the agent's own files.
base_stamp() {
    "$1" -I -c 'import sys; print(sys.version, sys.base_prefix)'
    printf '%s\n' "$SOURCE_DATE_EPOCH_GIVEN" "$newest"
    cat "$locked/agent.txt" "$locked/applications.txt" "$checkout/packaging/build.sh" "$checkout/packaging/self_contained.py"
    sed -n '/^dependencies/,/^]/p; /^simulator/p; /^applications/p' "$checkout/pyproject.toml"
}

build_base() {
    scratch="$(mktemp -d)"
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    say "building with $python (once; about a minute)"
    make_venv "$python" "$scratch/venv"
    install_libraries "$scratch/venv/bin/python"
    rm -rf "$output" || fail "$EXIT_ENVIRONMENT" "the earlier $output cannot be removed"
    mkdir -p "$output"
    "$scratch/venv/bin/python" -IB "$checkout/packaging/self_contained.py" base --prefix "$PREFIX" \
        --libraries "$scratch/libraries" "$output$PREFIX" ||
        fail "$EXIT_ENVIRONMENT" "the tree could not be built" "the lines above say why"
}

# install_libraries PYTHON-OF-VENV
install_libraries() {
    if [ "$newest" = no ]; then
        pip_install_locked "$1" agent applications -- --no-compile --target "$scratch/libraries"
        return
    fi
    "$1" -IB "$checkout/packaging/self_contained.py" requirements "$checkout/pyproject.toml" \
        --extra simulator --extra applications >"$scratch/requirements"
    pip_install "$1" --no-compile --target "$scratch/libraries" --requirement "$scratch/requirements"
}

main() {
    parse_arguments "$@"
    umask 022
    check_tools
    python="$(choose_python)"
    SOURCE_DATE_EPOCH_GIVEN="${SOURCE_DATE_EPOCH:-}"
    cd /
    : "${SOURCE_DATE_EPOCH:=$(commit_time)}"
    # Sets are written into compiled files in the order of their hashes.
    export SOURCE_DATE_EPOCH PYTHONHASHSEED=0
    mkdir -p "$output"
    output="$(cd "$output" && pwd)"
    if have flock; then
        exec 9>"$output.lock"
        flock 9
    fi
    stamp="$(base_stamp "$python" | sha256sum)"
    if [ "$(cat "$output/stamp" 2>/dev/null)" != "$stamp" ]; then
        build_base
        printf '%s\n' "$stamp" >"$output/stamp"
    fi
    "$python" -IB "$checkout/packaging/self_contained.py" agent --prefix "$PREFIX" --sources "$checkout/agent" \
        "$output$PREFIX" ||
        fail "$EXIT_ENVIRONMENT" "the agent could not be added" "the lines above say why"
    say "built $output$PREFIX: $(du -sm "$output$PREFIX" | cut -f 1) MiB"
}

main "$@"
