#!/bin/sh
# Make signed apt and rpm repositories of the packages. See `packaging/repository.sh --help`.
set -eu

PROGRAM=packaging/repository.sh
case "$0" in */*) checkout="${0%/*}/" ;; *) checkout=. ;; esac
checkout="$(CDPATH='' cd -- "$checkout/.." && pwd)"
# shellcheck source=packaging/setup.sh
. "$checkout/packaging/setup.sh"

usage() {
    cat <<'TEXT'
Usage: packaging/repository.sh --key ID --output DIR [OPTION...] [PACKAGE...]

Make DIR a folder from which apt, dnf, yum and zypper can install snap-self: an apt repository in DIR/deb, an rpm
repository for each architecture in DIR/rpm, the public key, and the files that tell a machine of them. Lists and
rpm packages are signed. A web server or a bucket serves DIR as it is.

If DIR is there, the PACKAGEs are added to what it holds; without one the signatures are renewed where that is
needed. All is built beside DIR, checked, and put in its place in one step: a failure leaves DIR as it was.

Options:
  --key ID        the GnuPG key that signs: its fingerprint, id or mail address. gpg looks for it in GNUPGHOME
  --output DIR    the folder; the folder above it must be writable too
  --also-key ID   another public key that machines are to have while keys change: the next one, or the one before,
                  which may have signed what DIR holds
  --url URL       where machines find DIR (default: as in the run before, else DIR itself, by file://)
  --valid-for N   apt refuses the lists after N days (Valid-Until), so renew them before; 0: never (default: as in
                  the run before, else 0)
  -h, --help      show this text

It needs gpg and gpgv; for Debian packages dpkg-deb and apt-ftparchive; for rpm packages rpm, rpmsign and createrepo_c.

Example:
  packaging/repository.sh --key ops@example.com --output /srv/snap-self build/snap-self_*.deb build/snap-self-*.rpm

Exit status: 0 done, or nothing to do; 2 wrong usage; 4 something is missing, refused or failed.
TEXT
}

NAME=snap-self
SUITE=stable
SETTINGS=snap-self.repository # what the next run goes by
MANIFEST=snap-self.sha256     # every other file's checksum, signed too
FORMAT=1
ANEW="build anew, in an empty folder, from packages that you trust"

key_asked=
also_asked=
output=
url=
valid_for=

usage_error() {
    fail "$EXIT_USAGE" "$1" "see: $PROGRAM --help"
}

refuse() {
    fail "$EXIT_ENVIRONMENT" "$@"
}

# parse ARGUMENT...: set what the options say, and go on with the packages, which may stand before them too.
parse() {
    left=$#
    while [ "$left" -gt 0 ]; do
        case "$1" in
        -h | --help) usage && exit 0 ;;
        --key | --output | --also-key | --url | --valid-for)
            if [ "$left" -eq 1 ] || [ -z "$2" ]; then usage_error "$1 needs a value"; fi
            case "$1" in
            --key) key_asked="$2" ;;
            --output) output="$2" ;;
            --also-key) also_asked="$2" ;;
            --url) url="${2%/}" ;;
            --valid-for) valid_for="$2" ;;
            esac
            shift
            left=$((left - 1))
            ;;
        -*) usage_error "unknown option $1" ;;
        *) set -- "$@" "$1" ;;
        esac
        shift
        left=$((left - 1))
    done
    check_options
    work "$@"
}

check_options() {
    [ -n "$key_asked" ] || usage_error "--key is needed"
    [ -n "$output" ] || usage_error "--output is needed"
    output="$(absolute "$output")"
    while [ "${output%/}" != "$output" ]; do output="${output%/}"; done
    case "$output" in
    '') usage_error "--output cannot be /" ;;
    *"$NEWLINE"*) usage_error "--output holds a line break" ;;
    esac
    case "$url" in
    '' | https://?* | http://?* | file:///?*) ;;
    *) usage_error "$url is no address: https://, http:// or file:///" ;;
    esac
    # Whatever has a meaning of its own in apt's or dnf's file.
    case "$url" in *[!0-9a-zA-Z.:/_~%+,=@-]*) usage_error "$url holds a character that must be written as %XX" ;; esac
    case "$valid_for" in
    *[!0-9]* | ?????*) usage_error "--valid-for is a number of days, 0 to 9999" ;;
    esac
}

# --- tools -----------------------------------------------------------------------------------

need() {
    have "$1" || refuse "$1 is missing" "Debian, Ubuntu: apt-get install $2; Fedora, EL: dnf install $3"
}

need_for_deb() {
    need dpkg-deb dpkg dpkg
    need apt-ftparchive apt-utils apt
}

need_for_rpm() {
    need rpm rpm rpm
    need rpmsign rpm rpm-sign
    need createrepo_c createrepo-c createrepo_c
}

# Outside of the caller's rpm database, and by the gpg that signs all else.
rpm_tool() {
    rpm_caller="$1"
    shift
    "$rpm_caller" --define "_dbpath $scratch/rpm" --define "__gpg $(command -v gpg)" "$@" 9<&-
}

# --- keys ------------------------------------------------------------------------------------

# The agent that gpg may start goes on running, and is not to hold our lock.
gpg_quiet() {
    gpg --batch --quiet --no-auto-check-trustdb "$@" 9<&-
}

# Whoever may write there says which programs gpg starts.
check_keyring() {
    [ -n "${GNUPGHOME:-}" ] || return 0
    GNUPGHOME="$(absolute "$GNUPGHOME")"
    export GNUPGHOME
    [ -d "$GNUPGHOME" ] || refuse "GNUPGHOME is no folder: $GNUPGHOME" "leave it unset to take ~/.gnupg"
    if is_root && ! why="$(may_trust 0 "$GNUPGHOME")"; then
        refuse "root is not to use a keyring that others can change: $why" "call this as the key's owner; root is not needed"
    fi
}

# find_key ID: print the fingerprint of the one key that is meant.
find_key() {
    found="$(gpg_quiet --with-colons --list-keys -- "$1" 2>/dev/null |
        awk -F : '$1 == "pub" { own = 1 } $1 == "fpr" && own { print $10; own = 0 }')"
    case "$found" in
    '') refuse "gpg knows no key $1" "gpg --list-keys shows those in ${GNUPGHOME:-~/.gnupg}; another place: GNUPGHOME=DIR" ;;
    *"$NEWLINE"*)
        refuse "gpg knows more than one key $1: $(printf '%s' "$found" | tr '\n' ' ')" "name the key by its fingerprint"
        ;;
    esac
    printf '%s\n' "$found"
}

# What gpg's records say of a key: https://git.gnupg.org/cgi-bin/gitweb.cgi?p=gnupg.git;f=doc/DETAILS
check_key() {
    record="$(gpg_quiet --with-colons --list-keys "$1" | grep '^pub:' | head -n 1)"
    expires="$(printf '%s\n' "$record" | cut -d : -f 7)"
    case "$(printf '%s\n' "$record" | cut -d : -f 2)" in
    r) refuse "key $1 is revoked" "sign with another key" ;;
    e) refuse "key $1 expired on $(day "$expires")" "its owner can give it more time: gpg --quick-set-expire $1 2y" ;;
    i) refuse "key $1 is invalid: it lacks a signature of its own" "import it anew from its owner" ;;
    esac
    case "$(printf '%s\n' "$record" | cut -d : -f 12)" in
    *D*) refuse "key $1 is disabled" "gpg --edit-key $1 enable" ;;
    *S*) ;;
    *) refuse "key $1 has no part that may sign now" "its owner can add one: gpg --quick-add-key $1 rsa4096 sign 2y" ;;
    esac
}

# A part that may sign has a secret here where field 15 tells so, "+" or a card's number; "#" is a note of one that is
# elsewhere.
check_secret() {
    gpg_quiet --with-colons --list-secret-keys "$1" 2>/dev/null | awk -F : '
        ($1 == "sec" || $1 == "ssb") && $12 ~ /s/ && $2 !~ /[eri]/ && $15 != "" && $15 != "#" { found = 1 }
        END { exit !found }' ||
        refuse "the secret part of key $1 is not here" "call this where it is, or name the place: GNUPGHOME=DIR"
    printf 'trial\n' >"$scratch/trial"
    sign --detach-sign "$scratch/trial.asc" "$scratch/trial"
}

gpg_sign() {
    gpg_quiet --yes --digest-algo SHA256 --local-user "$key" "$@"
}

# sign FORM SIGNATURE FILE
sign() {
    gpg_sign --armor --output "$2" "$1" "$3" 2>"$scratch/log" ||
        told "gpg could not sign ${3##*/}" "the lines above say why; a passphrase is asked for by gpg-agent"
}

# told MESSAGE HINT: refuse, after what the program that failed has said.
told() {
    cat "$scratch/log" >&2
    refuse "$@"
}

day() {
    LC_ALL=C date -u -d "@$1" +%Y-%m-%d
}

# Both forms of the keys: rpm wants a block for each key, older apt one of bytes.
export_keys() {
    for each in $key $also; do
        gpg_quiet --export-options export-minimal --export "$each" >>"$scratch/keys.gpg"
        gpg_quiet --armor --export-options export-minimal --export "$each" >>"$scratch/keys.asc"
    done
    gpg_quiet --armor --export-options export-minimal --export "$key" >"$scratch/key.asc"
    gpg_quiet --export-options export-minimal --export "$key" >"$scratch/key.gpg"
}

choose_keys() {
    check_keyring
    if [ -t 0 ]; then
        GPG_TTY="$(tty)"
        export GPG_TTY
    fi
    key="$(find_key "$key_asked")"
    check_key "$key"
    key_expires="$expires"
    also=
    if [ -n "$also_asked" ]; then
        also="$(find_key "$also_asked")"
        check_key "$also"
        [ "$also" != "$key" ] || usage_error "--also-key is the same key as --key"
    fi
    check_secret "$key"
    export_keys
}

# --- packages --------------------------------------------------------------------------------

# take FILE: check a package, and copy it to where it will lie.
take() {
    file="$(absolute "$1")"
    [ -f "$file" ] || refuse "there is no package $1" "packaging/deb/build.sh and packaging/rpm/build.sh make them"
    install -m 644 "$file" "$scratch/taken" 2>"$scratch/log" || broken "$1"
    # By what it holds: rpm takes a file of text for a list of packages.
    case "$(head -c 7 "$scratch/taken" | od -A n -t x1 | tr -d ' \n')" in
    213c617263683e) take_deb "$1" ;; # deb(5): an ar archive
    edabeedb*) take_rpm "$1" ;;
    *) refuse "$1 is neither a Debian nor an rpm package" "packaging/deb/build.sh and packaging/rpm/build.sh make them" ;;
    esac
}

broken() {
    told "$1 is broken" "the lines above say why; build or copy it again"
}

take_deb() {
    need_for_deb
    # shellcheck disable=SC2016  # dpkg-deb's own variables
    facts="$(dpkg-deb --show --showformat '${Package} ${Version} ${Architecture}\n' "$scratch/taken" 2>"$scratch/log")" ||
        broken "$1"
    dpkg-deb --fsys-tarfile "$scratch/taken" 2>"$scratch/log" | tar -t >/dev/null 2>>"$scratch/log" || broken "$1"
    [ ! -s "$scratch/log" ] || broken "$1"
    read -r package version architecture <<END
$facts
END
    check_facts "$1"
    keep "$1" deb/pool "${NAME}_${version#*:}_$architecture.deb"
}

take_rpm() {
    need_for_rpm
    facts="$(rpm_tool rpm -qp --nosignature --qf '%{NAME} %{VERSION}-%{RELEASE} %{ARCH} %{SOURCERPM}\n' "$scratch/taken" \
        2>"$scratch/log")" || broken "$1"
    rpm_tool rpmkeys --nosignature --checksig "$scratch/taken" >"$scratch/log" 2>&1 || broken "$1"
    read -r package version architecture source <<END
$facts
END
    [ "$source" != "(none)" ] || refuse "$1 is a source package" "name the packages that machines install"
    check_facts "$1"
    keep "$1" "rpm/$architecture" "$NAME-$version.$architecture.rpm"
}

check_facts() {
    [ "$package" = "$NAME" ] || refuse "$1 is a package of $package, not of $NAME" \
        "what this key signs is trusted by all machines: nothing else is put in"
    case "$version$architecture" in
    *[!0-9a-zA-Z.+~:_-]*) refuse "$1 has an odd version or architecture: $version $architecture" "build it again" ;;
    esac
    case "$architecture" in all | noarch) refuse "$1 is of no architecture" "$NAME's packages are of one" ;; esac
}

# keep TOLD FOLDER NAME: what was published once under a version is not exchanged for something else.
keep() {
    mkdir -p "$scratch/new/$2"
    for other in "$scratch/new/$2/$3" "$output/$2/$3"; do
        [ -f "$other" ] || continue
        same_package "$other" "$scratch/taken" || refuse "$3 is there already, and $1 is another build of this version" \
            "machines may have the first: build with a higher --version"
        return 0
    done
    mv "$scratch/taken" "$scratch/new/$2/$3"
    added=$((added + 1))
}

# An rpm package's header, which has the checksum of its content, is the same with and without a signature.
same_package() {
    case "$1" in
    *.deb) cmp -s "$1" "$2" ;;
    *) [ "$(rpm_header "$1")" = "$(rpm_header "$2")" ] ;;
    esac
}

rpm_header() {
    rpm_tool rpm -qp --nosignature --qf '%{SHA256HEADER}' "$1" 2>/dev/null
}

# --- what is there already -------------------------------------------------------------------

# Sets output and parent, both without links, and takes the lock.
find_output() {
    if [ -d "$output/" ]; then
        output="$(cd "$output/" && pwd -P)"
    elif [ -e "$output" ] || [ -L "$output" ]; then
        refuse "$output is no folder" "name another --output"
    fi
    parent="$(cd "${output%/*}/" 2>"$scratch/log" && pwd -P)" ||
        told "there is no folder for $output" "make it: mkdir -p ${output%/*}"
    parent="${parent%/}/"
    output="$parent${output##*/}"
    old="$parent.${output##*/}.before"
    if have flock; then
        exec 9<"$parent"
        flock -n 9 || {
            say "another run is at work in $parent; waiting for its end"
            flock 9
        }
    fi
    locked=yes
    put_back
}

make_room() {
    if have mountpoint && [ -d "$output" ] && mountpoint -q "$output"; then
        refuse "$output is a mount point, which cannot be exchanged" "name a folder in it: --output $output/$NAME"
    fi
    new="$(mktemp -d "$parent.${output##*/}.new.XXXXXX" 2>"$scratch/log")" ||
        told "$parent cannot be written" "the new state is built there, beside $output, and then put in its place"
}

# What a run that was killed has left: either the earlier state is in its place again, or the new one stays.
put_back() {
    if [ -d "$old" ] && [ ! -e "$output" ]; then mv -T "$old" "$output"; fi
    rm -rf "$old" "$parent.${output##*/}".new.??????
}

setting() {
    sed -n "s/^$1 //p" "$output/$SETTINGS"
}

# Nothing is signed anew that was not signed before: whoever could change files there would get the key's word for them.
check_earlier() {
    earlier=no
    [ -e "$output" ] && [ -n "$(ls -A "$output")" ] || return 0
    [ -f "$output/$SETTINGS" ] ||
        refuse "$output holds something that is no repository of $NAME" "name an empty or a new folder"
    no_links "$output" >"$scratch/log" ||
        told "$output holds a symbolic link, whose target can change" "put the file itself there, or $ANEW"
    # Copied before they are read twice.
    cp "$output/$MANIFEST" "$output/$MANIFEST.asc" "$scratch/" 2>"$scratch/log" ||
        told "$output lacks its signed list" "put it back, or $ANEW"
    gpgv --quiet --keyring "$scratch/keys.gpg" "$scratch/$MANIFEST.asc" "$scratch/$MANIFEST" 2>"$scratch/log" ||
        told "what $output holds is not signed by key $key${also:+ or $also}" \
            "if another key of yours signed it, name that with --also-key; else $ANEW"
    files_of "$output" >"$scratch/files"
    cut -c 67- "$scratch/$MANIFEST" >"$scratch/listed"
    (diff "$scratch/listed" "$scratch/files" && cd "$output" && sha256sum --check --quiet --strict "$scratch/$MANIFEST") \
        >"$scratch/log" 2>&1 || told "$output was changed by something else since it was signed" \
        "the lines above name the files; put them back, or $ANEW"
    [ "$(setting format)" = "$FORMAT" ] ||
        refuse "$output was made by another version of this program" "use that one, or a new folder"
    earlier=yes
    [ -n "$url" ] || url="$(setting url)"
    [ -n "$valid_for" ] || valid_for="$(setting valid-for)"
    [ ! -d "$output/deb" ] || need_for_deb
    [ ! -d "$output/rpm" ] || need_for_rpm
}

# no_links FOLDER: print what there is a symbolic link, and fail if there is one. Its target can change at any time.
no_links() {
    found_links="$(cd "$1" && find . -type l | sed 's,^\./,,')"
    [ -z "$found_links" ] || {
        printf 'a symbolic link: %s\n' "$found_links"
        return 1
    }
}

# files_of FOLDER: print all that is there but folders, the signed list and its signature left out.
files_of() (
    cd "$1" && find . ! -type d ! -path "./$MANIFEST" ! -path "./$MANIFEST.asc" | sed 's,^\./,,' | LC_ALL=C sort
)

# Succeed where a run would make again what is there.
nothing_to_do() {
    [ "$earlier" = yes ] && [ "$added" -eq 0 ] && [ "$valid_for" -eq 0 ] || return 1
    settings | cmp -s - "$output/$SETTINGS" && cmp -s "$scratch/keys.gpg" "$output/$NAME.gpg"
}

settings() {
    cat <<END
# What the next run of packaging/repository.sh goes by.
format $FORMAT
key $key
also $also
url $url
valid-for $valid_for
END
}

# --- building --------------------------------------------------------------------------------

# Bring the packages together: those that are there and the new ones. Copies, not links: what is changed through another
# name of the same file after it was compared would be signed.
gather() {
    for folder in deb/pool rpm; do
        [ -d "$output/$folder" ] || continue
        place="$new/$folder"
        mkdir -p "${place%/*}"
        cp -a "$output/$folder" "$place"
    done
    check_copies
    for folder in "$new"/rpm/*/repodata; do rm -rf "$folder"; done
    cp -R "$scratch/new/." "$new/"
}

# What was copied is still what the signed list says; its copy in $scratch has been checked with its signature.
check_copies() {
    [ "$earlier" = yes ] || return 0
    (cd "$new" && find . ! -type d | sed 's,^\./,,' | LC_ALL=C sort) >"$scratch/files"
    grep -E '^[0-9a-f]{64}  (deb/pool|rpm)/' "$scratch/$MANIFEST" >"$scratch/listed" || :
    cut -c 67- "$scratch/listed" >"$scratch/names"
    (diff "$scratch/names" "$scratch/files" && no_links "$new" &&
        { [ ! -s "$scratch/listed" ] || (cd "$new" && sha256sum --check --quiet --strict "$scratch/listed"); }) \
        >"$scratch/log" 2>&1 || told "$output was changed by something else while it was copied" \
        "the lines above name the files; call this again, or $ANEW"
}

make_apt() {
    [ -d "$new/deb" ] || return 0
    architectures="$(find "$new/deb/pool" -name '*.deb' | sed 's/.*_\(.*\)\.deb$/\1/' | sort -u)"
    (
        cd "$new/deb"
        for architecture in $architectures; do list_debs "$architecture"; done
        set -- Acquire-By-Hash=yes "Origin=$NAME" "Label=$NAME" "Suite=$SUITE" "Codename=$SUITE" Components=main \
            "Architectures=$(printf '%s' "$architectures" | tr '\n' ' ')" "ValidTime=$((valid_for * 86400))"
        for field; do
            shift
            set -- "$@" -o "APT::FTPArchive::Release::$field"
        done
        archive "$@" release "dists/$SUITE" >"$scratch/Release"
        mv "$scratch/Release" "dists/$SUITE/Release"
        sign --clearsign "dists/$SUITE/InRelease" "dists/$SUITE/Release"
        sign --detach-sign "dists/$SUITE/Release.gpg" "dists/$SUITE/Release"
    )
}

archive() {
    apt-ftparchive -o APT::FTPArchive::MD5=false -o APT::FTPArchive::SHA1=false -o APT::FTPArchive::SHA512=false "$@" \
        2>"$scratch/log" ||
        told "apt-ftparchive could not list the packages" "the lines above say why"
}

# Under their checksums too: who has read an older Release still finds its lists where a bucket keeps them.
list_debs() {
    folder="dists/$SUITE/main/binary-$1"
    mkdir -p "$folder/by-hash/SHA256"
    archive --arch "$1" packages pool >"$folder/Packages"
    listed="$(grep -c '^Package: ' "$folder/Packages" || :)"
    there="$(find pool -name "*_$1.deb" | wc -l)"
    [ "$listed" -eq "$there" ] || told "apt-ftparchive listed $listed of $there packages for $1" \
        "the lines above may say why"
    gzip -9nk "$folder/Packages"
    for list in "$folder/Packages" "$folder/Packages.gz"; do
        ln "$list" "$folder/by-hash/SHA256/$(sha256sum <"$list" | cut -d ' ' -f 1)"
    done
}

make_rpm() {
    [ -d "$new/rpm" ] || return 0
    mkdir -p "$scratch/rpm"
    rpm_tool rpmkeys --import "$scratch/key.asc"
    for folder in "$new"/rpm/*; do
        for file in "$folder"/*.rpm; do sign_rpm "$file"; done
        # gzip is what every dnf and yum can read.
        createrepo_c --quiet --no-database --error-exit-val --checksum sha256 --general-compress-type gz "$folder" \
            >"$scratch/log" 2>&1 || told "createrepo_c could not list the packages" "the lines above say why"
        sign --detach-sign "$folder/repodata/repomd.xml.asc" "$folder/repodata/repomd.xml"
    done
}

# The file may be one with that in the earlier state, so a copy is signed.
sign_rpm() {
    signed_rpm "$1" && return
    cp "$1" "$scratch/signed.rpm"
    rpm_tool rpmsign --define "_gpg_name $key" --define "_gpg_digest_algo sha256" --resign "$scratch/signed.rpm" \
        >"$scratch/log" 2>&1 || told "rpmsign could not sign ${1##*/}" "the lines above say why"
    signed_rpm "$scratch/signed.rpm" || told "rpm does not accept the new signature of ${1##*/}" \
        "rpm may not know keys of this kind; RSA is known to all"
    rm "$1"
    install -m 644 "$scratch/signed.rpm" "$1"
}

# Only the key is known to rpm here, and only what is signed passes.
signed_rpm() {
    rpm_tool rpmkeys --define "_pkgverify_level signature" --checksig "$1" >/dev/null 2>&1
}

# Print where the folder is found; a path has no meaning of its own in an address.
address() {
    if [ -n "$url" ]; then
        printf '%s\n' "$url"
    else
        printf 'file://%s\n' "$output" | sed 's/%/%25/g; s/ /%20/g; s/#/%23/g; s/?/%3F/g; s/\$/%24/g'
    fi
}

write_files() {
    cp "$scratch/keys.asc" "$new/$NAME.asc"
    cp "$scratch/keys.gpg" "$new/$NAME.gpg"
    settings >"$new/$SETTINGS"
    [ ! -d "$new/deb" ] || cat >"$new/$NAME.sources" <<END
# For /etc/apt/sources.list.d/$NAME.sources; $NAME.gpg goes to /etc/apt/keyrings/$NAME.gpg.
Types: deb
URIs: $(address)/deb
Suites: $SUITE
Components: main
Check-Valid-Until: yes
Signed-By: /etc/apt/keyrings/$NAME.gpg
END
    [ ! -d "$new/rpm" ] || cat >"$new/$NAME.repo" <<END
# For /etc/yum.repos.d/$NAME.repo (zypper: /etc/zypp/repos.d/$NAME.repo); $NAME.asc goes where gpgkey says.
[$NAME]
name=$NAME
baseurl=$(address)/rpm/\$basearch
enabled=1
gpgcheck=1
repo_gpgcheck=1
# zypper's: else it takes what the signed lists name, whoever signed that.
pkg_gpgcheck=1
gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-$NAME
END
    files_of "$new" | (cd "$new" && xargs -d '\n' sha256sum) >"$scratch/manifest"
    mv "$scratch/manifest" "$new/$MANIFEST"
    sign --detach-sign "$new/$MANIFEST.asc" "$new/$MANIFEST"
}

# As machines will see it: by the key alone.
check_new() {
    set -- "$MANIFEST"
    [ ! -d "$new/deb" ] || set -- "$@" "deb/dists/$SUITE/Release"
    for folder in "$new"/rpm/*; do
        [ ! -d "$folder" ] || set -- "$@" "rpm/${folder##*/}/repodata/repomd.xml"
    done
    for file; do
        signature="$file.asc"
        case "$file" in */Release) signature="$file.gpg" ;; esac
        gpgv --quiet --keyring "$scratch/key.gpg" "$new/$signature" "$new/$file" 2>"$scratch/log" ||
            told "the new signature of $file is not good" "the lines above say why"
    done
}

# --- putting it in its place -------------------------------------------------------------------

# Let two folders change places in one step, so that who reads meanwhile finds one of them.
exchange() {
    exchanger="$(find_python)" || return 1
    "$exchanger" -IS - "$1" "$2" 2>/dev/null <<'PYTHON'
import ctypes
import os
import sys

AT_FDCWD, RENAME_EXCHANGE = -100, 2
rename = ctypes.CDLL(None, use_errno=True).renameat2
old, new = map(os.fsencode, sys.argv[1:])
sys.exit(1 if rename(AT_FDCWD, old, AT_FDCWD, new, RENAME_EXCHANGE) else 0)
PYTHON
}

put_in_place() {
    chmod 755 "$new"
    if [ -d "$output" ]; then
        chmod --reference="$output" "$new"
        ! is_root || chown --reference="$output" "$new"
    fi
    # A power cut right after the rename must not leave empty files.
    sync -f "$new" 2>/dev/null || sync
    if [ ! -e "$output" ]; then
        mv -T "$new" "$output"
    elif ! exchange "$output" "$new"; then
        mv -T "$output" "$old"
        mv -T "$new" "$output"
    fi
}

tell() {
    say "$output: $(find "$output" -name '*.deb' | wc -l) Debian and $(find "$output" -name '*.rpm' | wc -l) rpm" \
        "packages ($added new)"
    if [ -n "$key_expires" ]; then until="expires on $(day "$key_expires")"; else until="never expires"; fi
    say "signed by key $key, which $until"
    [ "$valid_for" -eq 0 ] || [ ! -d "$output/deb" ] ||
        say "apt refuses its lists after $(sed -n 's/^Valid-Until: //p' "$output/deb/dists/$SUITE/Release"):" \
            "run this again before"
}

clean_up() {
    status=$?
    trap - EXIT
    [ "$locked" = no ] || put_back
    rm -rf "$scratch"
    case "$status" in
    0 | "$EXIT_USAGE" | "$EXIT_ENVIRONMENT" | 130 | 143) ;;
    *)
        say "a step failed (status $status); $output is as it was"
        printf '  hint: the lines above say why; is there room enough?\n' >&2
        status="$EXIT_ENVIRONMENT"
        ;;
    esac
    exit "$status"
}

# work PACKAGE...
work() {
    umask 022
    need gpg gnupg gnupg2
    need gpgv gpgv gnupg2
    scratch="$(mktemp -d)"
    locked=no
    added=0
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    mkdir "$scratch/new"
    choose_keys
    find_output
    check_earlier
    for package_file; do take "$package_file"; done
    : "${valid_for:=0}"
    if nothing_to_do; then
        say "$output is as it should be: nothing to do"
        return
    fi
    [ "$earlier" = yes ] || [ "$added" -gt 0 ] || usage_error "a new repository needs at least one PACKAGE"
    make_room
    gather
    make_apt
    make_rpm
    write_files
    check_new
    put_in_place
    tell
}

parse "$@"
