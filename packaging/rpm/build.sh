#!/bin/sh
# Build the rpm package. See `packaging/rpm/build.sh --help`.
set -eu

PROGRAM=packaging/rpm/build.sh
case "$0" in */*) checkout="${0%/*}/" ;; *) checkout=. ;; esac
checkout="$(CDPATH='' cd -- "$checkout/../.." && pwd)"
# shellcheck source=packaging/setup.sh
. "$checkout/packaging/setup.sh"

usage() {
    cat <<'TEXT'
Usage: packaging/rpm/build.sh [OPTION...]

Build snap-self-VERSION-1.ARCH.rpm, for Alibaba Cloud Linux, Enterprise Linux, Fedora, SUSE and their like
of the same architecture. The package depends on a shell only: interpreter, libraries and C library are in it.

Options:
  --output DIR       folder for the package (default: build)
  --tree DIR         what packaging/build.sh made (default: build/self-contained, made if need be)
  --version VERSION  another version than pyproject.toml's
  --compression X    xz (default), gzip (the fastest) or none
  -h, --help         show this text

It needs rpmbuild, and what packaging/build.sh needs. The name of the package made is printed.

Example:
  packaging/rpm/build.sh && dnf install ./build/snap-self-*.rpm

Exit status: 0 built; 2 wrong usage; 4 something is missing or failed.
TEXT
}

output="$checkout/build"
tree=
version=
payload=w6.xzdio

usage_error() {
    fail "$EXIT_USAGE" "$1" "see: packaging/rpm/build.sh --help"
}

parse_arguments() {
    while [ $# -gt 0 ]; do
        case "$1" in
        -h | --help) usage && exit 0 ;;
        --output | --tree | --version | --compression)
            [ -n "${2:-}" ] || usage_error "$1 needs a value"
            case "$1" in
            --output) output="$2" ;;
            --tree) tree="$2" ;;
            --version) version="$2" ;;
            --compression) payload="$(payload_of "$2")" ;;
            esac
            shift
            ;;
        *) usage_error "unknown argument $1" ;;
        esac
        shift
    done
    [ -n "$payload" ] || usage_error "unknown compression"
    case "$version" in
    *[!0-9a-zA-Z.+~]*) usage_error "$version is no version: digits, letters and . + ~ only" ;;
    esac
}

payload_of() {
    case "$1" in
    xz) echo w6.xzdio ;;
    gzip) echo w1.gzdio ;;
    none) echo w.ufdio ;;
    esac
}

main() {
    parse_arguments "$@"
    umask 022
    have rpmbuild || fail "$EXIT_ENVIRONMENT" "rpmbuild is missing" \
        "Debian, Ubuntu: apt-get install rpm; Fedora, EL: dnf install rpm-build"
    [ -n "$version" ] || version="$(sed -n 's/^version = "\(.*\)"$/\1/p' "$checkout/pyproject.toml")"
    : "${SOURCE_DATE_EPOCH:=$(commit_time)}"
    export SOURCE_DATE_EPOCH
    mkdir -p "$output"
    output="$(cd "$output" && pwd)"
    scratch="$(mktemp -d)"
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    "$checkout/packaging/stage.sh" "$scratch/staged" rpm ${tree:+--tree "$tree"}
    rpmbuild -bb --quiet --define "_topdir $scratch/top" --define "_rpmdir $scratch/made" \
        --define "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm" \
        --define "snap_self_version $version" --define "snap_self_staged $scratch/staged" \
        --define "snap_self_payload $payload" \
        --define "snap_self_date $(LC_ALL=C date -u -d "@$SOURCE_DATE_EPOCH" '+%a %b %d %Y')" \
        "$checkout/packaging/rpm/snap-self.spec" \
        >"$scratch/log" 2>&1 || {
        cat "$scratch/log" >&2
        fail "$EXIT_ENVIRONMENT" "rpmbuild could not build the package" "the lines above say why"
    }
    mv "$scratch/made/"*.rpm "$output/"
    for package in "$output/snap-self-$version-1."*.rpm; do printf '%s\n' "$package"; done
}

main "$@"
