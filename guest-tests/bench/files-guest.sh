#!/bin/sh
# The guest's part of jobs (busybox sh, run by guests/linux/init as case=/put/files-guest.sh): for each line that comes, the
# rates of what the word carrier= says: virtiofs, the share fs0, or ext4, the first disk.
set -e
mkdir -p /mnt
case $carrier in
virtiofs)
	insmod /put/fuse.ko
	insmod /put/virtiofs.ko
	mount -t virtiofs fs0 /mnt ;;
ext4) mount -t ext4 /dev/vda /mnt ;;
esac
echo 'files: ready'
while read -r line; do
	fsrates /mnt $files $mb
	echo 'files: done'
done
