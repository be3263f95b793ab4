# Files of the user that must not be harmed: images in a format, files given twice, old logs.

user_disk_in_a_format()
{
	local mark
	for mark in 'QFI\373' KDMV vhdxfile conectix; do
		truncate -s 0 "$tmp/image" && truncate -s 1M "$tmp/image" && printf "$mark" | dd of="$tmp/image" conv=notrunc status=none
		cannot "qemu-img convert -O raw '$tmp/image'" --kernel "$small" --disk "$tmp/image" &&
			cannot "',raw' takes the file as it is" --kernel "$small" --disk "$tmp/image,ro" || return 1
	done
}
guest_disk_raw_forced()
{
	truncate -s 1M "$tmp/image" && printf 'QFI\373' | dd of="$tmp/image" conv=notrunc status=none
	guest 42 s --disk "$tmp/image,raw" && guest 42 s --disk "$tmp/image,ro,raw=on" && [ ! -s "$tmp/err" ]
}

# with_loop OPTIONS: $loop is a loop device on $tmp/backing.
with_loop()
{
	[ "$EUID" -eq 0 ] && command -v losetup >/dev/null && truncate -s 1M "$tmp/backing" &&
		loop=$(losetup "$@" --show -f "$tmp/backing" 2>/dev/null) && [ -b "$loop" ] || { why=skip; return 1; }
}
user_disk_read_only_device()
{
	local done
	with_loop -r || return 1
	cannot "'$loop': the device is read-only (',ro' opens it" --kernel "$small" --disk "$loop"
	done=$?
	losetup -d "$loop"
	return $done
}
guest_disk_in_use_by_the_host()
{
	local done
	with_loop || return 1
	guest 42 s --disk "$tmp/backing" && says "is also behind $loop" && guest 42 s --disk "$loop" && [ ! -s "$tmp/err" ]
	done=$?
	losetup -d "$loop"
	return $done
}

# A disk is locked as long as its machine runs, and no longer: not by what its parent has open.
guest_disk_lock()
{
	truncate -s 1M "$tmp/locked" && exec 8<>"$tmp/locked" 9<"$tmp/locked" || return 1
	guest 42 s --disk fd=8 && guest 42 s --disk "$tmp/locked" && guest 42 s --disk fd=9,ro && guest 42 s --disk "$tmp/locked" || return 1
	background --append l --disk fd=8 2>"$tmp/err" </dev/null || return 1
	cannot 'in use by another disk or program' --kernel "$small" --disk "$tmp/locked" || return 1
	kill $pid
	over 143 && guest 42 s --disk "$tmp/locked"
}
# A file and a loop device on it are one; two loop devices may be two parts of a file.
guest_disk_and_its_loop_device()
{
	local twice='it is also the disk' done second
	with_loop || return 1
	second=$(losetup --show -f -o 524288 "$tmp/backing") || return 1
	cannot "$twice '$loop'" --kernel "$small" --disk "$loop" --disk "$tmp/backing" &&
		cannot "$twice '$tmp/backing'" --kernel "$small" --disk "$tmp/backing" --disk "$loop" &&
		cannot "$twice '$loop'" --kernel "$small" --disk "$loop" --stats "$tmp/backing" &&
		cannot "$twice 'fd=8'" --kernel "$small" --disk fd=8 --console "$tmp/backing" 8<>"$loop" &&
		guest 42 s --disk "$loop" --disk "$second"
	done=$?
	losetup -d "$loop" "$second"
	[ $done -eq 0 ] && [ "$(stat -c %s "$tmp/backing")" = 1048576 ]
}
guest_disk_mounted_by_the_host()
{
	local done
	command -v mkfs.ext2 >/dev/null && with_loop && mkfs.ext2 -q "$loop" && mkdir "$tmp/mounted" || skip 'a program or a right is missing'
	mount -t ext2 "$loop" "$tmp/mounted" || { losetup -d "$loop"; skip 'no ext2 here'; }
	guest 42 s --disk "$loop" && says "disk '$loop' is mounted or otherwise in use by the host" &&
		guest 42 s --disk "$loop,ro" && says "disk '$loop' is mounted"
	done=$?
	umount "$tmp/mounted"
	losetup -d "$loop"
	return $done
}

# The same file, by whatever name, is not both read and written over, and not written twice.
user_same_file_twice()
{
	local twice='it is also the'
	cp "$small" "$tmp/kernel" && truncate -s 1M "$tmp/a" && ln -sf a "$tmp/link" && ln -f "$tmp/a" "$tmp/hard" && echo "mem = 16M" >"$tmp/conf"
	cannot "$twice disk" --kernel "$small" --disk "$tmp/a" --stats "$tmp/a" &&
		cannot "$twice disk" --kernel "$small" --disk "$tmp/link" --stats "$tmp/hard" &&
		cannot "$twice disk" --kernel "$small" --disk "$tmp/a,ro" --console "$tmp/link" &&
		cannot "$twice kernel" --kernel "$tmp/kernel" --console "$tmp/kernel" &&
		cannot "$twice kernel" --kernel "$tmp/kernel" --disk "$tmp/kernel" &&
		cannot "$twice initrd" --kernel "$tmp/kernel" --initrd "$tmp/a" --stats "$tmp/hard" &&
		cannot "$twice configuration file" --config "$tmp/conf" --config /dev/null --kernel "$small" --stats "$tmp/conf" &&
		cannot "$twice console file" --kernel "$small" --console "$tmp/new" --stats "$tmp/new" &&
		cannot "$twice disk" --kernel "$small" --disk "$tmp/a" --disk "$tmp/hard" &&
		cannot "$twice disk" --kernel "$small" --disk "$tmp/a" --stats /dev/fd/8 8>>"$tmp/a" || return 1
	timeout 50 "$minivmm" --kernel "$small" --disk "$tmp/a" >>"$tmp/a" 2>"$tmp/err" </dev/null
	[ $? -eq 125 ] && says "$twice standard output" && cmp -s "$small" "$tmp/kernel" && [ "$(stat -c %s "$tmp/a")" = 1048576 ] &&
		[ "$(cat "$tmp/conf")" = 'mem = 16M' ]
}
guest_same_file_harmless()
{
	truncate -s 1M "$tmp/a"
	guest 42 s --disk "$tmp/a,ro" --disk "$tmp/a,ro" && guest 42 s --console /dev/null --stats /dev/null &&
		guest 42 s --stats - && timeout 50 "$minivmm" --kernel "$small" --append o >"$tmp/both" 2>&1 </dev/null
}
# What the guest reaches by a share as well is told of, and works.
guest_files_below_a_share()
{
	local shared=$tmp/shared
	mkdir "$shared" && truncate -s 1M "$shared/disk" && ln -s "$shared/disk" "$tmp/to-disk" || return 1
	guest 42 s --disk "$shared/disk" --fs "$shared" && says "the disk '$shared/disk' as a file" &&
		guest 42 s --fs "$shared" --disk "$tmp/to-disk,ro" && says "the disk '$tmp/to-disk' as a file" &&
		guest 42 s --fs "$tmp" --disk fd=8 8<>"$shared/disk" && says "the disk 'fd=8' as a file" &&
		guest 42 s --fs "$shared" --console "$shared/log" --stats "$shared/stats" && says 'the console file' 2 && grep -q 'the stats file' "$tmp/err" &&
		guest 42 s --fs "$shared,ro" --disk "$shared/disk" --stats "$shared/stats" && [ ! -s "$tmp/err" ] &&
		guest 42 s --fs "$shared,frozen" --disk "$shared/disk" --stats "$shared/stats" && [ ! -s "$tmp/err" ]
}
# The user's umask is that of the files that minivmm makes, whatever modes a guest gives to files of a share.
guest_umask()
{
	mkdir -p "$tmp/shared2" && rm -f "$tmp/private" "$tmp/private2" || return 1
	(umask 077 && guest 42 s --fs "$tmp/shared2" --stats "$tmp/private" --console "$tmp/private2") &&
		[ "$(stat -c %a "$tmp/private" "$tmp/private2" | sort -u)" = 600 ]
}
# A start that fails changes nothing.
user_outputs_kept()
{
	echo old >"$tmp/log" && echo old >"$tmp/accounts"
	cannot "'$tmp/none'" --kernel "$tmp/none" --console "$tmp/log" --stats "$tmp/accounts" &&
		cannot "'$tmp/none'" --kernel "$small" --disk "$tmp/none" --console "$tmp/log" --stats "$tmp/accounts" &&
		cannot "'/nonexistent/x'" --kernel "$small" --console "$tmp/log" --stats /nonexistent/x &&
		cannot 'Is a directory' --kernel "$small" --console "$tmp/log" --stats "$tmp" &&
		[ "$(cat "$tmp/log" "$tmp/accounts")" = "$(printf 'old\nold')" ]
}

# A standard output by its name: what stands there already, and what others write, stays.
guest_output_by_its_name()
{
	local name
	for name in /dev/stdout /proc/self/fd/1 "$tmp/both"; do
		echo before >"$tmp/both"
		{ timeout 60 "$minivmm" --kernel "$small" --mem 16M --append s --console "$name"; echo "$?"; } >>"$tmp/both" 2>"$tmp/err" </dev/null
		[ "$(tr '\n' ' ' <"$tmp/both")" = 'before hello from a small guest 42 ' ] || { why="$name: $(cat "$tmp/both")"; return 1; }
		{ echo first; timeout 60 "$minivmm" --kernel "$small" --mem 16M --append s --console none --stats "$name"; echo last; } >"$tmp/both" 2>"$tmp/err" </dev/null
		[ "$(sed -n '1p;$p' "$tmp/both" | tr '\n' ' ')" = 'first last ' ] && grep -q '"outcome":"guest"\|"status":42' "$tmp/both" ||
			{ why="$name: $(cat "$tmp/both")"; return 1; }
	done
}

# Captures: outputs like the others.
user_capture_elsewhere()
{
	[ -w /dev/net/tun ] || { why=skip; return 1; }
	cp "$small" "$tmp/kernel" && echo old >"$tmp/capture" && truncate -s 1M "$tmp/a"
	cannot "cannot open capture '/nonexistent/x'" --kernel "$small" --net tap=mvmcap,pcap=/nonexistent/x &&
		cannot 'Is a directory' --kernel "$small" --net "tap=mvmcap,pcap=$tmp" &&
		cannot "it is also the kernel" --kernel "$tmp/kernel" --net "tap=mvmcap,pcap=$tmp/kernel" &&
		cannot "it is also the disk" --kernel "$small" --disk "$tmp/a" --net "tap=mvmcap,pcap=$tmp/a" &&
		cannot "it is also the capture" --kernel "$small" --net "tap=mvmcap,pcap=$tmp/new" --net "tap=mvmcap2,pcap=$tmp/new" &&
		cannot "it is also the capture" --kernel "$small" --net "tap=mvmcap,pcap=$tmp/new" --stats "$tmp/new" &&
		cannot "'/nonexistent/x'" --kernel "$small" --net "tap=mvmcap,pcap=$tmp/capture" --stats /nonexistent/x &&
		cannot "bad value '' for pcap" --kernel "$small" --net tap=mvmcap,pcap= &&
		cannot "bad value '9' for snap" --kernel "$small" --net tap=mvmcap,snap=9 &&
		[ "$(cat "$tmp/capture")" = old ] && cmp -s "$small" "$tmp/kernel"
}
# A FIFO that nobody reads and a device that is full hold up nothing.
guest_capture_that_nobody_reads()
{
	[ -w /dev/net/tun ] || { why=skip; return 1; }
	mkfifo "$tmp/fifo" && guest 42 s --net "tap=mvmcap,pcap=$tmp/fifo" && says 'bytes were not read' &&
		guest 42 s --net "tap=mvmcap,pcap=/dev/full" && says "cannot write capture '/dev/full': No space left on device" &&
		guest 42 s --net tap=mvmcap,pcap=/dev/null && [ ! -s "$tmp/err" ] || return 1
	exec 8<>"$tmp/fifo" # a reader that does not read, at two ends
	dd if=/dev/zero of="$tmp/fifo" bs=4096 oflag=nonblock 2>/dev/null
	vmm 124 --kernel "$small" --append l --net "tap=mvmcap,pcap=$tmp/fifo" --timeout 300ms && says 'its reader does not keep up' 2 || return 1
	background --append l --net "tap=mvmcap,model=rtl8139,pcap=$tmp/fifo" 2>"$tmp/err" </dev/null
	kill $pid
	over 143 && says 'its reader does not keep up'
}

# Whatever a file is called: with its path before it no name is taken for a key or an option.
guest_odd_names()
{
	local name
	mkdir "$tmp/odd" || return 1
	cd "$tmp/odd" || return 1
	for name in a=b -dash --disk 'a b' a:b:rw $'new\nline' $'\xff\xfe' $'\033[31m' %s%n "$(printf 'x%.0s' {1..250})"; do
		cp "$small" "./$name" && truncate -s 1M "./$name.d" &&
			guest 42 s --kernel "./$name" --disk "./$name.d" --console "./$name.c,max=1M" --stats "./$name.s" || return 1
		[ ! -s "$tmp/err" ] && [ -s "./$name.c" ] && [ -s "./$name.s" ] && cannot "cannot open disk './" --kernel "$small" --disk "./$name.none" || return 1
	done
	printf 'kernel = ./a=b\ndisk = ./a=b.d,ro\n' >config
	vmm 42 --config config --append s --timeout 30s
}
