#!/bin/sh
# Build the Debian package. See `packaging/deb/build.sh --help`.
set -eu

PROGRAM=packaging/deb/build.sh
case "$0" in */*) checkout="${0%/*}/" ;; *) checkout=. ;; esac
checkout="$(CDPATH='' cd -- "$checkout/../.." && pwd)"
# shellcheck source=packaging/setup.sh
. "$checkout/packaging/setup.sh"
here="$checkout/packaging/deb"

usage() {
    cat <<'TEXT'
Usage: packaging/deb/build.sh [OPTION...]

Build snap-self_VERSION-1_ARCH.deb, for Debian, Ubuntu and their like of the same architecture. The
package depends on nothing: interpreter, libraries and C library are in it.

Options:
  --output DIR       folder for the package (default: build)
  --tree DIR         what packaging/build.sh made (default: build/self-contained, made if need be)
  --version VERSION  another version than pyproject.toml's
  --compression X    xz (default), zstd, gzip (the fastest) or none
  -h, --help         show this text

It needs dpkg-deb, and what packaging/build.sh needs. The name of the package made is printed. DEBFULLNAME
and DEBEMAIL name its maintainer, as for other tools that make Debian packages.

Example:
  packaging/deb/build.sh && apt-get install ./build/snap-self_*.deb

Exit status: 0 built; 2 wrong usage; 4 something is missing or failed.
TEXT
}

output="$checkout/build"
tree=
version=
compression=xz

usage_error() {
    fail "$EXIT_USAGE" "$1" "see: packaging/deb/build.sh --help"
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
            --compression) compression="$2" ;;
            esac
            shift
            ;;
        *) usage_error "unknown argument $1" ;;
        esac
        shift
    done
    case "$compression" in
    xz | zstd | gzip | none) ;;
    *) usage_error "unknown compression $compression" ;;
    esac
    case "$version" in
    *[!0-9a-zA-Z.+~]*) usage_error "$version is no version: digits, letters and . + ~ only" ;;
    esac
}

project_version() {
    sed -n 's/^version = "\(.*\)"$/\1/p' "$checkout/pyproject.toml"
}

# Who builds a package answers for it: dch(1) knows the variables. The project has no address of its own.
MAINTAINER="${DEBFULLNAME:-the builder of this package} <${DEBEMAIL:-nobody@builder.invalid}>"

write_control() {
    cat >"$staged/DEBIAN/control" <<END
Package: snap-self
Version: $version-1
Architecture: $architecture
Maintainer: $MAINTAINER
Installed-Size: $(du -k -s --apparent-size "$staged" | cut -f 1)
Section: admin
Priority: optional
Enhances: apt, unattended-upgrades
Description: snapshot this Alibaba Cloud instance's disks before a risky change
 snap-self runs on an Alibaba Cloud ECS instance and makes snapshots of the
 instance's own disks before something risky is done to it: an upgrade by the
 package manager, a migration, a command of your own.
 .
 It is hooked into apt, can bring databases and filesystems to rest, and shows
 the ways back afterwards. It brings its own Python interpreter and C library,
 so that it works on while those of the system are replaced.
 .
 A fault is reported to where the package or its sources came from.
END
}

write_conffiles() {
    (cd "$staged" && find etc -type f | sort | sed 's,^,/,') >"$staged/DEBIAN/conffiles"
}

write_scripts() {
    for script in preinst postinst prerm postrm; do
        [ ! -f "$here/$script" ] || install -m 755 "$here/$script" "$staged/DEBIAN/$script"
    done
}

write_documents() {
    doc="$staged/usr/share/doc/snap-self"
    mkdir -p "$doc" "$staged/usr/share/lintian/overrides"
    install -m 644 "$here/copyright" "$doc/copyright"
    install -m 644 "$here/lintian-overrides" "$staged/usr/share/lintian/overrides/snap-self"
    {
        printf 'snap-self (%s-1) unstable; urgency=medium\n\n' "$version"
        printf '  * Built from the sources of version %s; what is new: changelog.gz.\n\n' "$version"
        printf ' -- %s  %s\n' "$MAINTAINER" "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")"
    } | gzip -9n >"$doc/changelog.Debian.gz"
}

# Every file gets the time of the build, and root as its owner in the archive.
pack() {
    (cd "$staged" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum) \
        >"$staged/DEBIAN/md5sums"
    chmod 644 "$staged/DEBIAN/control" "$staged/DEBIAN/conffiles" "$staged/DEBIAN/md5sums"
    find "$staged" -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +
    case "$compression" in
    gzip) set -- -Zgzip -z1 ;;
    *) set -- "-Z$compression" ;;
    esac
    dpkg-deb --root-owner-group "$@" --build "$staged" "$package" >&2 ||
        fail "$EXIT_ENVIRONMENT" "dpkg-deb could not build the package" "the lines above say why"
}

main() {
    parse_arguments "$@"
    umask 022
    have dpkg-deb || fail "$EXIT_ENVIRONMENT" "dpkg-deb is missing" "Fedora, EL: dnf install dpkg"
    : "${version:=$(project_version)}"
    architecture="$(dpkg --print-architecture)"
    : "${SOURCE_DATE_EPOCH:=$(commit_time)}"
    export SOURCE_DATE_EPOCH
    mkdir -p "$output"
    package="$(cd "$output" && pwd)/snap-self_$version-1_$architecture.deb"
    scratch="$(mktemp -d)"
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    staged="$scratch/staged"
    mkdir -p "$staged/DEBIAN"
    "$checkout/packaging/stage.sh" "$staged" deb ${tree:+--tree "$tree"}
    write_documents
    write_conffiles
    write_scripts
    write_control
    pack
    printf '%s\n' "$package"
}

main "$@"
