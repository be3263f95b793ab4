#!/bin/sh
# The guest's part of jobs (busybox sh, run by guests/linux/init as case=/put/files-guest.sh): for each line that comes, the
# rates of what the word carrier= says: virtiofs, the share fs0; root, the same below a layer as a job's root is, which is
# only read; or ext4, the first disk.
set -e
mkdir -p /mnt
what=
case $carrier in
virtiofs)
	insmod /put/fuse.ko
	insmod /put/virtiofs.ko
	mount -t virtiofs fs0 /mnt ;;
root)
	for module in fuse virtiofs overlay; do insmod /put/$module.ko; done
	mkdir /lower /layer
	mount -t virtiofs -o ro fs0 /lower
	mount -t tmpfs tmpfs /layer
	mkdir /layer/upper /layer/work
	mount -t overlay -o lowerdir=/lower,upperdir=/layer/upper,workdir=/layer/work overlay /mnt
	what=read ;;
ext4) mount -t ext4 /dev/vda /mnt ;;
esac
echo 'files: ready'
while read -r line; do
	fsrates /mnt $files $mb $what
	echo 'files: done'
done
