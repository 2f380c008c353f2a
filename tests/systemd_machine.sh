#!/usr/bin/env bash
# A systemd of its own as the first process of a machine whose disk is this one's with nothing written back:
#   systemd_machine.sh outside FOLDER
# as root, in a mount namespace of its own. FOLDER/shared is /srv there; FOLDER/pid gets the number of its
# first process here. Ends when that does: when it is told to power off, or with whoever started this.
set -euo pipefail
stage=$1
folder=$2

# Its processes are a group of this system's, which is not left behind.
outside() {
    local groups=$folder/groups group status=0
    mkdir -p "$groups" "$folder/disk"
    mount -t cgroup2 none "$groups"
    group=$groups/cube-machine-$$
    mkdir "$group"
    echo $$ >"$group/cgroup.procs"
    setpriv --pdeathsig KILL \
        unshare --fork --kill-child --mount --pid --cgroup --uts --ipc --net bash "$0" inside "$folder" || status=$?
    echo $$ >"$groups/cgroup.procs"
    find "$group" -depth -type d -exec rmdir {} +
    # 130: how a namespace of processes that was powered off ends.
    [ "$status" = 130 ] || exit "$status"
}

inside() {
    local own device
    read -r own _ </proc/self/stat
    umount "$folder/groups"
    mount -t tmpfs disk "$folder/disk"
    cd "$folder/disk"
    mkdir upper work root
    mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
    cd root
    mount --bind "$folder/shared" srv
    mount -t proc proc proc
    mount --bind proc/sys proc/sys
    mount -o remount,bind,ro proc/sys # its settings would be this system's, those of networks are its own
    mount --bind proc/sys/net proc/sys/net
    mount -o remount,bind,rw proc/sys/net
    mount -t sysfs -o ro sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount -t tmpfs -o mode=755 tmpfs dev
    for device in null zero full random urandom tty; do
        mknod -m 666 "dev/$device" c $((0x$(stat -c %t "/dev/$device"))) $((0x$(stat -c %T "/dev/$device")))
    done
    mkdir dev/pts dev/shm
    mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd
    mount -t tmpfs -o mode=755 tmpfs run
    mount -t tmpfs tmpfs tmp
    rm -rf etc/systemd/system # no service of this system
    mkdir -p etc/systemd/system run/before
    ln -s /dev/null etc/systemd/system/systemd-sysctl.service
    pivot_root . run/before
    echo "$own" >/run/before"$folder"/pid
    umount -l /run/before
    exec env -i container=other PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        /lib/systemd/systemd --unit=basic.target --show-status=no
}

"$stage"
