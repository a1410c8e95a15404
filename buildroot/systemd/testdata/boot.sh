#!/bin/sh
# Starts systemd as the first process of the namespaces that unshare(1) has
# made, over a copy of this machine's root that is thrown away.
#   boot.sh DIRECTORY
set -eu
dir=$1
mount --make-rprivate /
mount -t tmpfs tmpfs "$dir"
mkdir "$dir/upper" "$dir/work" "$dir/root"
root=$dir/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/upper,workdir=$dir/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for d in null zero full random urandom tty; do
  touch "$root/dev/$d"
  mount --bind "/dev/$d" "$root/dev/$d"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
  mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
  mkdir "$root/sys/fs/cgroup/systemd" "$root/sys/fs/cgroup/unified"
  mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/unified"
fi
rm -rf "$root/var/log/journal" # what is written to /run is gone afterwards
units=$root/usr/local/lib/systemd/system
mkdir -p "$units" "$root/etc/sysusers.d"
cp "$dir.files/"*.service "$dir.files/"*.socket "$units/"
cp "$dir.files/pillarbox.sysusers" "$root/etc/sysusers.d/pillarbox.conf"
install -m 755 "$dir.files/pillarbox" "$root/usr/local/bin/pillarbox"
echo > "$root/etc/machine-id"
ip link set lo up 2>/dev/null || true
ln -sf /dev/null "$root/etc/systemd/system/timers.target"
mkdir "$root/mnt/old"
cd "$root"
echo mounted
# Not chroot(2), in which the service may not have a user namespace.
pivot_root . mnt/old
exec chroot . /bin/sh -c 'umount -l /mnt/old && exec env -i container=pillarbox-test \
  PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=journal --show-status=0 --unit=basic.target'
