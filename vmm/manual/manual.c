/*
 * minivmm(1) and the completion for bash, made from the tables of options as --help is. Run by `make`; not part of
 * minivmm.
 *
 *   manual man VERSION | manual bash
 */
#include <stdio.h>
#include <string.h>

#include "vmm/config.h"
#include "vmm/doctor.h"
#include "vmm/machine.h"
#include "vmm/run.h"

/* ---- the manual page, in the macros of man(7) ---- */

/* One line or several, which are filled. */
static void text(const char *s)
{
	for (bool begins = true; *s; s++) {
		if (begins && (*s == '.' || *s == '\''))
			fputs("\\&", stdout);
		if (*s == '\\')
			fputs("\\e", stdout);
		else if (*s == '-')
			fputs("\\-", stdout);
		else
			putchar(*s);
		begins = *s == '\n';
	}
	putchar('\n');
}

/* One entry: @name in bold, its value, what it means. */
static void entry(const char *dashes, const char *name, const char *separator, const char *value,
		  const char *help, const char *preset)
{
	printf(".TP\n.B \"%s", *dashes ? "\\-\\-" : "");
	for (const char *s = name; *s; s++)
		printf(*s == '-' ? "\\-" : "%c", *s);
	if (value)
		printf("%s\\fI%s\\fP", separator, value);
	puts("\"");
	text(help);
	if (preset)
		printf("(default %s)\n", preset);
}

static void options(const struct option_group *group, const char *dashes, const char *separator)
{
	for (struct option_iter i = { group }; options_next(&i);)
		entry(dashes, i.option->name, separator, i.option->value, i.option->help,
		      option_default(i.option));
}

static void device(const struct option_group *group)
{
	entry("--", group->name, " ", group->value, group->help, NULL);
	puts(".RS");
	options(group, "", "=");
	puts(".RE");
}

static int man(const char *version)
{
	printf(".TH MINIVMM 1 \"\" \"minivmm %s\"\n.SH NAME\nminivmm \\- small virtual machine monitor for Linux KVM\n",
	       version);
	puts(".SH SYNOPSIS\n.nf\n"
	     ".B minivmm \\-\\-kernel \\fIFILE\\fP [\\fIOPTION\\fP]...\n"
	     ".B minivmm run \\-\\-root \\fIDIR\\fP [\\fIOPTION\\fP]... \\-\\- \\fICOMMAND\\fP [\\fIARGUMENT\\fP]...\n"
	     ".B minivmm doctor \\fR[\\fIOPTION\\fP]...\n.fi");
	puts(".SH DESCRIPTION\n"
	     "The first form boots a Linux kernel in a virtual machine.\n"
	     ".B run\nruns one command in a machine of its own, with a directory of the host as its root.\n"
	     ".B doctor\nsays whether that can work on this host, and what mends it where not.");
	puts(".SH OPTIONS OF A MACHINE");
	options(&config_options, "--", " ");
	puts(".SH DEVICES\n"
	     "Each takes a list FIRST,KEY=VALUE,... where FIRST is the value of the first key, a switch may stand alone "
	     "for KEY=on, and ,, is a comma within a value.");
	for (const struct option_group *const *d = machine_devices(); *d; d++)
		device(*d);
	puts(".SH OPTIONS OF RUN");
	options(&run_options, "--", " ");
	puts(".SH OPTIONS OF DOCTOR");
	options(&doctor_options, "--", " ");
	puts(".SH EXIT STATUS\n.SS Of a machine");
	text(config_exit_status);
	puts(".SS Of run");
	text(run_exit_status);
	puts(".SS Of doctor");
	text(doctor_exit_status);
	puts(".SH EXAMPLES\n.EX\nminivmm run \\-\\-root / \\-\\-out out \\-\\- make check\n"
	     "minivmm \\-\\-kernel bzImage \\-\\-net tap0\n.EE");
	return 0;
}

/* ---- the completion ---- */

/* What completes the value of an option: words, or a kind of file; "" for neither. */
static void completer(const struct option *o)
{
	if (o->words) {
		fputs("-W '", stdout);
		for (unsigned int i = 0; o->words[i]; i++)
			printf("%s%s", i ? " " : "", o->words[i]);
		putchar('\'');
	} else if (o->value && strstr(o->value, "FILE")) {
		fputs("-f", stdout);
	} else if (o->value && (strstr(o->value, "DIR") || strstr(o->value, "HOST"))) {
		fputs("-d", stdout);
	}
}

static void names(const struct option_group *group, const char *before, const char *after)
{
	for (struct option_iter i = { group }; options_next(&i);)
		printf(" %s%s%s", before, i.option->name, after);
}

/* What follows each option that takes a value. */
static void values(const struct option_group *group)
{
	for (struct option_iter i = { group }; options_next(&i);)
		if (i.option->value) {
			printf("\t%s.--%s) _minivmm_words ", group->name ?: "machine",
			       i.option->name);
			completer(i.option);
			puts(" ;;");
		}
}

static int bash(void)
{
	puts("# minivmm: completion for bash, made from its tables of options.\n\n"
	     "_minivmm_words()\n{\n\tmapfile -t COMPREPLY < <(compgen \"$@\" -- \"$cur\")\n"
	     "\t[[ ${1:-} != -[fd] ]] || compopt -o filenames 2>/dev/null\n}\n\n"
	     "# Keys of a device: of the last one in a list.\n"
	     "_minivmm_keys()\n{\n\tlocal list=\n"
	     "\t[[ $cur != *,* ]] || list=${cur%,*},\n"
	     "\tmapfile -t COMPREPLY < <(compgen -P \"$list\" -W \"$1\" -- \"${cur##*,}\")\n"
	     "\tcompopt -o nospace 2>/dev/null\n}\n\n"
	     "_minivmm()\n{\n"
	     "\tlocal cur=$2 before=$3 kind=machine i\n"
	     "\tCOMPREPLY=()\n"
	     "\tif ((COMP_CWORD > 1)) && [[ ${COMP_WORDS[1]} == run || ${COMP_WORDS[1]} == doctor ]]; then kind=${COMP_WORDS[1]}; fi\n"
	     "\tfor ((i = 2; i < COMP_CWORD; i++)); do\n"
	     "\t\t# What stands behind is the job's own.\n"
	     "\t\tif [[ ${COMP_WORDS[i]} == -- ]]; then compopt -o default 2>/dev/null; return; fi\n"
	     "\tdone\n"
	     "\tcase $kind.$before in");
	values(&config_options);
	values(&run_options);
	values(&doctor_options);
	for (const struct option_group *const *d = machine_devices(); *d; d++) {
		printf("\tmachine.--%s) _minivmm_keys '", (*d)->name);
		names(*d, "", "=");
		puts("' ;;");
	}
	puts("\t*)\n\t\tcase $kind in");
	fputs("\t\tmachine) _minivmm_words -W '", stdout);
	names(&config_options, "--", "");
	for (const struct option_group *const *d = machine_devices(); *d; d++)
		printf(" --%s", (*d)->name);
	puts("' ;;");
	fputs("\t\trun) _minivmm_words -W '--", stdout);
	names(&run_options, "--", "");
	fputs("' ;;\n\t\tdoctor) _minivmm_words -W '", stdout);
	names(&doctor_options, "--", "");
	puts("' ;;\n\t\tesac\n"
	     "\t\t((COMP_CWORD > 1)) || COMPREPLY+=($(compgen -W 'run doctor' -- \"$cur\"))\n"
	     "\t\t;;\n\tesac\n}\ncomplete -F _minivmm minivmm");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "man"))
		return man(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "bash"))
		return bash();
	fputs("usage: manual man VERSION | manual bash\n", stderr);
	return 2;
}
