#!/bin/sh
# Lay out all files of snap-self below a folder. See `packaging/stage.sh --help`.
set -eu

PROGRAM=packaging/stage.sh
case "$0" in */*) checkout="${0%/*}/" ;; *) checkout=. ;; esac
checkout="$(CDPATH='' cd -- "$checkout/.." && pwd)"
# shellcheck source=packaging/setup.sh
. "$checkout/packaging/setup.sh"

usage() {
    cat <<'TEXT'
Usage: packaging/stage.sh DESTDIR FLAVOUR [--tree DIR] [--no-tree]

Lay out all files of snap-self below DESTDIR as they are to be below /. The packages and install.sh
use this one script, so that all of them place the same files.

FLAVOUR says which package managers' registration files are placed where they read them. All of them
are always in DESTDIR/usr/share/snap-self/hooks.
  deb      apt's
  rpm      zypper's (for those of dnf and yum it depends on the machine: …/hooks/register)
  plain    none; install.sh then registers with the managers that are there

Options:
  --tree DIR   the self-contained tree's parent, made by packaging/build.sh (default: built if need be)
  --no-tree    leave /opt/snap-self out
  -h, --help   show this text

Example:
  packaging/stage.sh /tmp/staged deb && find /tmp/staged -type f

Exit status: 0 done; 2 wrong usage; 4 a file is missing, or the tree could not be built.
TEXT
}

usage_error() {
    fail "$EXIT_USAGE" "$1" "see: packaging/stage.sh --help"
}

destdir=
flavour=
tree=
with_tree=yes

parse_arguments() {
    while [ $# -gt 0 ]; do
        case "$1" in
        -h | --help) usage && exit 0 ;;
        --tree)
            [ $# -ge 2 ] || usage_error "--tree needs a value"
            tree="$2"
            shift
            ;;
        --no-tree) with_tree=no ;;
        -*) usage_error "unknown option $1" ;;
        *)
            if [ -z "$destdir" ]; then
                destdir="$1"
            elif [ -z "$flavour" ]; then
                flavour="$1"
            else
                usage_error "one argument too many: $1"
            fi
            ;;
        esac
        shift
    done
    [ -n "$flavour" ] || usage_error "DESTDIR and FLAVOUR are needed"
    case "$flavour" in
    deb | rpm | plain) ;;
    *) usage_error "unknown flavour $flavour" ;;
    esac
}

# place MODE SOURCE DEST: copy one file of the checkout; folders are made.
place() {
    [ -f "$checkout/$2" ] || fail "$EXIT_ENVIRONMENT" "$2 is missing: this checkout is not whole"
    [ -d "$destdir${3%/*}" ] || mkdir -p "$destdir${3%/*}"
    install -m "$1" "$checkout/$2" "$destdir$3"
}

# place_all MODE FOLDER DEST FILE...: the same for several files, named from that folder or in full.
place_all() {
    all_mode="$1" all_from="$checkout${2:+/$2}" all_to="$destdir$3"
    shift 3
    for file; do
        case "$file" in /*) ;; *) file="$all_from/$file" ;; esac
        [ -f "$file" ] || fail "$EXIT_ENVIRONMENT" "${file#"$checkout"/} is missing: this checkout is not whole"
    done
    mkdir -p "$all_to"
    (cd "$all_from" && install -m "$all_mode" -t "$all_to" -- "$@")
}

# packed SOURCE DEST: the same, compressed, without the time and name that gzip would note.
packed() {
    place 644 "$1" "$2"
    gzip -9nf "$destdir$2"
}

# documents FOLDER WHERE FILE...: pages of the documents. They lie in several folders of a checkout and in one here,
# WHERE below it, so links among them lead there.
documents() {
    up="${2:+../}" pages="$doc${2:+/$2}"
    pages_from="$1"
    shift 2
    place_all 644 "$pages_from" "$pages" "$@"
    for page; do
        shift
        set -- "$@" "$destdir$pages/${page##*/}"
    done
    sed -i -e "s,](\(packaging/docs/\|\.\./docs/\|\.\./\.\./\),]($up,g" \
        -e "s,](\(packaging/\|\.\./\)\(ram\|cloud-init\|terraform\)/,](${up}\2/,g" \
        -e "s,](${up}CHANGELOG\.md,](${up}changelog.gz,g" \
        -e "s,](${up}LICENSE),](${up}$(licence)),g" -- "$@"
}

# Debian has licences in a file of its own.
licence() {
    if [ "$flavour" = deb ]; then echo copyright; else echo LICENSE; fi
}

folder() {
    mkdir -p "$destdir$1"
    chmod "${2:-755}" "$destdir$1"
}

place_program() {
    if [ -z "$tree" ]; then
        tree="$checkout/build/self-contained"
        "$checkout/packaging/build.sh" --output "$tree"
    fi
    [ -x "$tree/opt/snap-self/bin/snap-self" ] ||
        fail "$EXIT_ENVIRONMENT" "$tree holds no built tree" "make it: packaging/build.sh --output $tree"
    mkdir -p "$destdir/opt"
    cp -a "$tree/opt/snap-self" "$destdir/opt/"
}

place_command() {
    mkdir -p "$destdir/usr/bin"
    ln -sf /opt/snap-self/bin/snap-self "$destdir/usr/bin/snap-self"
}

place_configuration() {
    place 644 agent/snap_self/data/config.example.toml /etc/snap-self/config.toml
    folder /etc/snap-self/conf.d
    folder /etc/snap-self/hooks.d
    folder /etc/snap-self/checks.d
    place 755 packaging/hooks/hook-guard /etc/snap-self/hook-guard
}

place_units() {
    place_all 644 packaging/systemd /usr/lib/systemd/system snap-self-thaw.service snap-self-prune.service snap-self-prune.timer snap-self-follow@.service \
        snap-self-unmount.service snap-self-unmount@.service snap-self-unmount@.timer snap-self-verify.service \
        snap-self-verify.timer snap-self-confirm.service snap-self-metrics.service snap-self-metrics.timer
    place 644 packaging/tmpfiles/snap-self.conf /usr/lib/tmpfiles.d/snap-self.conf
    place 644 packaging/systemd/snap-self.catalog /usr/lib/systemd/catalog/snap-self.catalog
}

# Debian and Ubuntu run what lies there at a log-in; elsewhere pam_motd(8) shows what the agent leaves ready.
place_login_message() {
    case "$flavour" in
    deb) place 755 packaging/login/95-snap-self /etc/update-motd.d/95-snap-self ;;
    rpm)
        folder /etc/motd.d
        ln -sf ../../var/lib/snap-self/motd "$destdir/etc/motd.d/snap-self"
        ln -sf ../../run/snap-self/motd "$destdir/etc/motd.d/snap-self-frozen"
        ;;
    esac
}

hooks=/usr/share/snap-self/hooks

place_hooks() {
    place 755 packaging/hooks/register "$hooks/register"
    place 755 packaging/hooks/hook-guard "$hooks/hook-guard"
    for file in "$checkout"/packaging/hooks/*/*; do
        case "$file" in */README.md | */__pycache__) continue ;; esac
        mode=644
        # What is started begins so; the mode in a checkout may be anything.
        first=
        IFS= read -r first <"$file" || :
        case "$first" in '#!'*) mode=755 ;; esac
        place "$mode" "${file#"$checkout"/}" "$hooks/${file#"$checkout"/packaging/hooks/}"
    done
}

register_hooks() {
    case "$flavour" in
    deb)
        place 644 packaging/hooks/apt/65snap-self /etc/apt/apt.conf.d/65snap-self
        ;;
    rpm)
        place 755 packaging/hooks/zypper/snap-self /usr/lib/zypp/plugins/commit/snap-self
        ;;
    esac
}

place_documents() {
    doc=/usr/share/doc/snap-self
    packed packaging/man/snap-self.8 /usr/share/man/man8/snap-self.8
    packed packaging/man/snap-self.toml.5 /usr/share/man/man5/snap-self.toml.5
    place 644 packaging/completions/snap-self.bash /usr/share/bash-completion/completions/snap-self
    place 644 packaging/completions/_snap-self "$(zsh_functions)/_snap-self"
    place 644 packaging/completions/snap-self.fish /usr/share/fish/vendor_completions.d/snap-self.fish
    place 644 agent/snap_self/data/config.example.toml "$doc/examples/config.toml"
    place_all 644 packaging/ram "$doc/ram" snap-self-create.json snap-self-prune.json snap-self-tags.json \
        snap-self-restore.json snap-self-rollback.json snap-self-rollback-role.json snap-self-online.json trust.json \
        trust-oos.json snap-self-fleet.json snap-self-keeper.json
    documents packaging/ram ram README.md
    place_all 644 packaging/oos "$doc/oos" "$checkout"/packaging/oos/*.yml
    place_all 644 packaging/monitoring "$doc/monitoring" \
        snap-self.rules.yml snap-self.rules-test.yml dashboard.json icinga2.conf nagios.cfg
    place 644 packaging/cloud-init/snap-self.yml "$doc/cloud-init/snap-self.yml"
    place_all 644 packaging/terraform "$doc/terraform" main.tf policy.tf variables.tf
    documents packaging/terraform terraform README.md
    documents '' '' README.md SECURITY.md
    documents packaging/docs '' "$checkout"/packaging/docs/*.md
    place 644 packaging/docs/first-snapshot.svg "$doc/first-snapshot.svg"
    packed CHANGELOG.md "$doc/changelog"
    [ "$flavour" = deb ] || place 644 LICENSE "$doc/LICENSE"
}

# One schema for what each command says with --json.
place_schemas() {
    schemas=agent/snap_self/data/schema
    place_all 644 "$schemas" /usr/share/snap-self/schema "$checkout/$schemas"/*.schema.json
}

# Debian's zsh reads vendor-completions, the others' site-functions.
zsh_functions() {
    case "$flavour" in
    rpm) echo /usr/share/zsh/site-functions ;;
    deb) echo /usr/share/zsh/vendor-completions ;;
    plain) if [ -d /usr/share/zsh/vendor-completions ]; then
        echo /usr/share/zsh/vendor-completions
    else
        echo /usr/share/zsh/site-functions
    fi ;;
    esac
}

main() {
    parse_arguments "$@"
    umask 022
    mkdir -p "$destdir"
    destdir="$(cd "$destdir" && pwd)"
    place_command
    place_configuration
    place_units
    place_login_message
    place_hooks
    register_hooks
    place_documents
    place_schemas
    [ "$with_tree" = no ] || place_program
}

main "$@"
