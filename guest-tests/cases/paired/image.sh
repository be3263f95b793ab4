#!/bin/bash
# The guest kernel's image: the same bits wherever it is built, small, with the marks that boot loaders look for.
. "$(dirname "$0")/testlib.bash"

limit=65536

build_in() { # build_in FOLDER: a copy of the sources, built there
	mkdir -p "$1/guest-tests/guests" &&
		cp -r "$top/Makefile" "$1/" &&
		cp -r "$top/guest-tests/guests/paired" "$1/guest-tests/guests/" &&
		make -s -C "$1" BUILD="$1/out" VERSION=test guest
}


# The second folder is elsewhere and longer.
mkdir -p "$work/one" "$work/a-longer/way/down"
check "builds in one folder" build_in "$work/one"
check "builds in another" build_in "$work/a-longer/way/down"
for f in guest.elf guest.bzImage; do
	check "$f is the same from both" cmp "$work/one/out/$f" "$work/a-longer/way/down/out/$f"
	size=$(stat -c %s "$build/$f")
	if [ "$size" -le $limit ]; then ok "$f has $size bytes"; else fail "$f's size" "$size bytes"; fi
	if strings "$build/$f" | grep -q -e "$work" -e "$top" -e /home -e GCC; then
		fail "$f knows where it was built" "$(strings "$build/$f" | grep -e "$top" -e GCC | head -n 1)"
	else
		ok "$f does not know where it was built"
	fi
done

bytes() { # bytes FILE OFFSET COUNT: in hexadecimal
	od -An -v -tx1 -j "$2" -N "$3" "$1" | tr -d ' \n'
}

is() { # is NAME GOT WANTED
	if [ "$2" = "$3" ]; then ok "$1"; else fail "$1" "$2 instead of $3"; fi
}

bz=$build/guest.bzImage
is "bzImage: boot_flag" "$(bytes "$bz" 510 2)" 55aa
is "bzImage: HdrS" "$(bytes "$bz" 514 4)" 48647253
is "bzImage: version 2.15" "$(bytes "$bz" 518 2)" 0f02
setup=$((0x$(bytes "$bz" 497 1)))
readelf -lW "$build/guest.elf" >"$work/elf"
offset=$(awk '$1 == "LOAD" { print $2 }' "$work/elf")
length=$(awk '$1 == "LOAD" { print $5 }' "$work/elf")
tail -c +$(((setup + 1) * 512 + 1)) "$bz" >"$work/payload"
tail -c +$((offset + 1)) "$build/guest.elf" | head -c $((length)) >"$work/segment"
payload=$(stat -c %s "$work/payload")
check "both wrappings hold the same image" cmp -n "$payload" "$work/payload" "$work/segment"
# Xen's note of type 18 holds the 32-bit entry point.
is "ELF: PVH note" "$(readelf -nW "$build/guest.elf" 2>/dev/null | grep -c 'Xen.*0x00000004.*0x00000012')" 1
is "ELF: 64-bit entry at 0x200" "$(readelf -hW "$build/guest.elf" | awk '/Entry/ { print $4 }')" 0x100200
finish
