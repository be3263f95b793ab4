# The report program on a small set of results: its four outputs agree, and what is wrong is refused.
report=$build/report
dir=$TMP
cd "$dir" || exit 1

refused() { # refused TEXT OPTION...: fails, in one line that has TEXT in it
	local text=$1
	shift
	"$report" "$@" >out 2>err && return 1
	[ "$(wc -l <err)" = 1 ] && grep -qF -- "$text" err
}

for round in 1 2 3; do
	printf 'base/crr/%s\trate\t%s\n' $round $((1000 * round))
	printf 'fast <&"/crr/%s\trate\t%s\n' $round $((3000 * round))
	printf 'fast <&"/crr/%s\tfailures\t%s\n' $round $round
	printf 'fast <&"/crr/%s\tp50_us\t12.5\nfast <&"/crr/%s\tp99_us\t200\n' $round $round
	printf 'base/start/%s\tuserland_ms\t40\nfast <&"/start/%s\tuserland_ms\t10\n' $round $round
done >results.tsv
printf 'about\tkernel\t6.1 <cloud> "x"\n' >about.tsv

"$report" --html r.html --json r.json --csv r.csv about.tsv results.tsv >text
check "exit status" [ $? = 0 ]
check "text: the median" grep -Eq '^base +2000\.0 +1000\.0\.\.3000\.0 +1\.00' text
check "text: the ratio of a rate" grep -Eq '^fast <&" +6000\.0 +3000\.0\.\.9000\.0 +3\.00' text
check "text: the ratio of a time counts the other way" grep -Eq '^fast <&" +10.0 +10.0\.\.10.0 +4\.00' text
check "text: failures are summed" grep -Eq '^fast <&" +6000\.0 .* 6$' text
check "csv: quotes are doubled" grep -qxF '"fast <&""","crr","rate",3,6000,3000,9000' r.csv
check "csv: a line per figure" [ "$(wc -l <r.csv)" = 8 ]
check "html: names are escaped" grep -qF 'fast &#60;&#38;&#34;' r.html
check "html: nothing is left unescaped" [ "$(grep -c 'fast <' r.html)" = 0 ]
check "html: what was measured with" grep -qF '6.1 &#60;cloud&#62; &#34;x&#34;' r.html
check "html: the figure" grep -qF 'data-key="rate" data-value="6000">6000.0<' r.html
check "html: a latency curve with its points" grep -Eq '<polyline[^>]*points="[0-9.]+,[0-9.]+ [0-9.]+,[0-9.]+ "' r.html
check "html: nothing from elsewhere" [ "$(grep -cE 'https?:|<script|<link' r.html)" = 0 ]
if command -v jq >/dev/null; then
	check "json: valid, with every figure" [ "$(jq '.results | length' r.json)" = 7 ]
	check "json: escaped" [ "$(jq -r '.about.kernel' r.json)" = '6.1 <cloud> "x"' ]
	# Every rate in the page stands in the JSON, and the other way round.
	jq -r '.results[] | select(.key == "rate") | .median' r.json | sort >a
	grep -o 'data-key="rate" data-value="[^"]*"' r.html | cut -d'"' -f4 | sort >b
	check "json: its medians are the page's" cmp a b
fi
"$report" --base 'fast <&"' results.tsv >text
check "another base" grep -Eq '^base .* 0\.33' text

# Comparisons: b is 10% faster than a in each round, whatever the rounds are; c is not known to be.
for round in 1 2 3 4; do
	printf 'a/crr/%s\trate\t%s\nb/crr/%s\trate\t%s\n' $round $((1000 * round)) $round $((1100 * round + round % 2))
	printf 'c/crr/%s\trate\t%s\n' $round $((1000 * round + 100 * round * (round % 2 * 2 - 1)))
done >compare.tsv
"$report" compare.tsv >text
check "rounds that differ do not hide what is so in each" grep -Eq '^b .* 1\.10 \(1\.10\.\.1\.10\)' text
check "what may be chance is not told apart" grep -Eq '^c .* not told apart, 0\.99 \(0\.83\.\.1\.20\)' text
check "the base is what it is" grep -Eq '^a .* 1\.00 *$' text
"$report" --told-apart compare.tsv
check "not all are told apart: status" [ $? = 3 ]
grep -v ^c compare.tsv >two.tsv
"$report" --told-apart two.tsv >text
check "all are told apart: status, and no output" [ $?/$(wc -c <text) = 0/0 ]
head -n 2 two.tsv >one.tsv
"$report" one.tsv >text
check "one round says nothing about the next" grep -Eq '^b .* 1\.10, one round *$' text
"$report" --told-apart one.tsv
check "one round: not told apart" [ $? = 3 ]
printf 'a/crr/1\trate\t5\nb/crr/2\trate\t6\n' >apart.tsv
"$report" apart.tsv >text
check "without a common round there is no comparison" grep -Eq "^b .* - *\$" text

# Names that a reader knows, in a page of which nothing is cut, on a desk and on a telephone.
for config in bare minivmm:transport=pci@mode=irq minivmm:transport=mmio@mode=poll qemu:vhost=on@mode=irq \
	minivmm:transport=pci,--sandbox=off \
	/some/where/other-minivmm:transport=pci,queue-size=1024@mode=poll; do
	for round in 1 2 3; do
		printf "$config/%s\trate\t123456.7\n$config/%s\tp50_us\t1234.5\n$config/%s\tp99_us\t123456.7\n$config/%s\tp99.9_us\t1234567\n" \
			crr/$round{,,,}
		printf "$config/%s\tfailures\t12345\n$config/%s\ttcp.RetransSegs\t1234567\n$config/%s\tdrops_tap\t1234567\n$config/%s\texits_per_unit\t1234567.12\n" \
			crr/$round{,,,}
	done
done >names.tsv
"$report" --html names.html about.tsv names.tsv >text
check "text: words" grep -q '^minivmm, PCI, interrupts ' text
check "text: an option of minivmm's own" grep -q '^minivmm, PCI, no sandbox ' text
check "html: words" grep -q '<td>QEMU microvm, vhost, interrupts</td>' names.html
check "html: no names of ours" [ "$(grep -c '>[^<]*transport=' names.html)" = 0 ]
if command -v chromium >/dev/null; then
	# Every box must lie within the page, and no text in it be wider than its box.
	sed 's|</body>|<script>document.title = "cut: " + [...document.body.querySelectorAll("*")].filter(e => {\
		const r = e.getBoundingClientRect(), w = document.documentElement.clientWidth;\
		return r.width \&\& (r.left < 0 \|\| r.right > w + 0.5 \|\| (e.clientWidth \&\& e.scrollWidth > e.clientWidth + 1)); })\
		.map(e => e.tagName + ":" + e.textContent.slice(0, 30)).join(" ") + "; width " + document.documentElement.clientWidth;\
		</script></body>|' names.html >boxes.html
	browser=(timeout 120 chromium --headless --no-sandbox --disable-gpu --hide-scrollbars "--user-data-dir=$dir/chromium")
	for width in 1280 400; do
		# A window cannot be that narrow everywhere: a frame can.
		printf '<body style="margin:0"><iframe style="border:0" width=%s height=4000 src=boxes.html onload="document.title = this.contentDocument.title"></iframe>' \
			$width >frame.html
		"${browser[@]}" --allow-file-access-from-files --virtual-time-budget=5000 --dump-dom "file://$dir/frame.html" >dom 2>browser.err
		check "$width pixels wide: nothing is cut ($(sed -n 's/.*<title>\(.*\)<.title>.*/\1/p' dom))" grep -q "<title>cut: ; width $width</title>" dom
		"${browser[@]}" --allow-file-access-from-files --window-size=1300,4000 --screenshot=${REPORT_PICTURES:-$dir}/report-$width.png \
			"file://$dir/frame.html" 2>browser.err
		check "$width pixels wide: a picture" [ -s ${REPORT_PICTURES:-$dir}/report-$width.png ]
	done
else
	skipped "the page in a browser" "no chromium (Debian: chromium)"
fi

printf 'base/crr/1\trate\n' >bad.tsv
check "a bad line is refused by number" refused 'bad.tsv:1:' bad.tsv
: >empty.tsv
check "nothing to report is refused" refused 'no results' empty.tsv
check "a missing file is refused" refused "cannot open 'none.tsv'" none.tsv
check "an unknown base is refused" refused "no configuration 'x'" --base x results.tsv
check "a file that cannot be written" refused "cannot write 'no/such': No such" --html no/such results.tsv
check "a full disk" refused "cannot write '/dev/full': No space" --csv /dev/full results.tsv
"$report" results.tsv >/dev/full 2>err
check "a full standard output" [ $?/"$(cat err)" = 1/'report: cannot write to standard output: No space left on device' ]
