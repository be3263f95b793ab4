#!/bin/bash
# The report program on a small set of results: its four outputs agree, and what is wrong is refused.
#   test/report build/report
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/check.bash"

report=$(realpath "${1:?usage: report REPORT}")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
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
check "html: names are escaped" grep -qF 'fast &lt;&amp;&quot;' r.html
check "html: nothing is left unescaped" [ "$(grep -c 'fast <' r.html)" = 0 ]
check "html: what was measured with" grep -qF '6.1 &lt;cloud&gt;' r.html
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

printf 'base/crr/1\trate\n' >bad.tsv
check "a bad line is refused by number" refused 'bad.tsv:1:' bad.tsv
: >empty.tsv
check "nothing to report is refused" refused 'no results' empty.tsv
check "a missing file is refused" refused "cannot open 'none.tsv'" none.tsv
check "an unknown base is refused" refused "no configuration 'x'" --base x results.tsv
check "a file that cannot be written" refused "cannot write 'no/such': No such" --html no/such results.tsv
check "a full disk" refused "cannot write '/dev/full'" --csv /dev/full results.tsv
finish
