"""Libraries without which a machine does not boot, or nobody can log in to it or mend it.

Found with ldd(1) on systemd, udevd, journald, logind, mount, the checkers of filesystems, kmod,
dbus-daemon, agetty, login, su, sudo, sshd, bash, the PAM and NSS modules, ip, NetworkManager,
netplan, nft, dpkg, apt and rpm of Debian 12; the names of other distributions are those of the
packages with the same soname. By who needs them: their packages in Debian and Ubuntu, the Red Hat
family, SUSE and Arch.
"""

from __future__ import annotations

LIBRARIES = {
    "systemd, login, mount, coreutils and dpkg (file labels)": (
        *("libselinux1", "libselinux", "libpcre2-8-0", "pcre2", "libpcre3", "pcre", "libpcre1"),
    ),
    "bash and whatever draws on a terminal": (
        *("libtinfo6", "libtinfo5", "libncurses6", "libncursesw6", "ncurses-libs", "ncurses"),
        *("libreadline8", "libreadline8t64", "libreadline7", "readline"),
    ),
    "systemd, coreutils, tar and cp (attributes of files)": (
        *("libacl1", "libacl", "acl", "libattr1", "libattr", "attr"),
    ),
    "systemd, dbus-daemon, login, sshd and sudo (audit, capabilities, filters)": (
        *("libaudit1", "audit-libs", "audit", "libcap2", "libcap", "libcap-ng0", "libcap-ng"),
        *("libseccomp2", "libseccomp", "libapparmor1", "libgpg-error0", "libgpg-error"),
    ),
    "systemd, kmod, dpkg, rpm and the initramfs (compressed modules, logs and packages)": (
        *("libkmod2", "liblzma5", "xz-libs", "xz", "libzstd1", "libzstd", "zstd", "liblz4-1"),
        *("lz4-libs", "lz4", "zlib1g", "zlib", "zlib-ng-compat", "libz1", "libbz2-1.0"),
        *("bzip2-libs", "libbz2-1", "bzip2"),
    ),
    "dbus-daemon, without which systemd's units and log-ins time out": (
        *("libdbus-1-3", "dbus-libs", "libexpat1", "expat"),
    ),
    "the checkers of filesystems, and volumes found at boot": (
        *("libuuid1", "libuuid", "libsmartcols1", "libsmartcols", "libcom-err2", "libcom_err"),
        *("libcom_err2", "libext2fs2", "libext2fs2t64", "e2fsprogs-libs", "liburcu8"),
        *("liburcu8t64", "userspace-rcu", "libinih1", "inih", "libinih0", "liblzo2-2", "lzo"),
        *("libargon2-1", "libargon2", "libjson-c5", "json-c", "libpopt0", "popt"),
    ),
    "PAM and NSS modules, login, passwd and sshd": (
        *("libdb5.3", "libdb5.3t64", "libdb", "libdb-4_8", "libgdbm6", "libgdbm6t64"),
        *("gdbm-libs", "libeconf0", "libeconf", "libtirpc3", "libtirpc3t64", "libtirpc"),
        *("libnsl2", "libnsl", "libwrap0", "tcp_wrappers-libs", "libgssapi-krb5-2"),
        *("libk5crypto3", "libkrb5support0", "libkeyutils1", "keyutils-libs", "keyutils"),
        *("libpwquality", "libpwquality1", "cracklib", "libcrack2", "liblastlog2-2"),
        *("libsepol2", "libsepol1", "libsepol", "libsemanage2", "libsemanage1", "libsemanage"),
    ),
    "the network at boot: ip, systemd, NetworkManager, netplan, nft": (
        *("libip4tc2", "libmnl0", "libmnl", "libelf1", "libelf1t64", "elfutils-libelf"),
        *("libelf", "libbpf1", "libbpf0", "libbpf", "libbsd0", "libglib2.0-0", "libglib2.0-0t64"),
        *("glib2", "libglib-2_0-0", "libndp0", "libndp", "libnl-3-200", "libnl3", "libnl"),
        *("libnm0", "NetworkManager-libnm", "libjansson4", "jansson", "libyaml-0-2", "libyaml"),
        *("libnftnl11", "libnftnl", "libnftables1", "libxtables12"),
    ),
    "dpkg, apt, dnf, zypper and pacman, with which all is mended": (
        *("libmd0", "libstdc++6", "libstdc++", "libxxhash0", "xxhash-libs", "sqlite-libs"),
        *("lua-libs", "libarchive"),
    ),
}
