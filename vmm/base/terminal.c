/* What a terminal obeys. */
#include "vmm/base/terminal.h"

#include <stdint.h>
#include <string.h>

#include "vmm/base/utf8.h"

#define IS_C1(c) ((c) >= 0x80 && (c) < 0xa0) /* controls as well, alone or in UTF-8 */

/* The character at @s and its length; a byte that begins none is one. */
static size_t next(const uint8_t *s, size_t len, uint32_t *c)
{
	const size_t n = utf8_decode(s, len, c);

	if (n)
		return n;
	*c = *s;
	return 1;
}

/* What is left of a character that an earlier piece began may be taken for a control: then it is undone for nothing. */
bool terminal_obeys(const void *bytes, size_t len)
{
	const uint8_t *b = bytes;
	uint32_t c;

	for (size_t n; len; b += n, len -= n) {
		n = next(b, len, &c);
		if ((c && c < ' ' && !memchr("\a\b\t\n\r", (int)c, 5)) || IS_C1(c))
			return true;
	}
	return false;
}

void terminal_make_plain(char *text, size_t len)
{
	uint32_t c;

	for (size_t n; len; text += n, len -= n) {
		n = next((const uint8_t *)text, len, &c);
		if (c < ' ' || c == 0x7f || IS_C1(c))
			memset(text, c == '\n' || c == '\t' ? ' ' : '?', n);
	}
}

/* clang-format off */
#define CSI  "\033["
#define SAVE "\033" "7"
#define LOAD "\033" "8"
const char terminal_reset[] =
	"\x18\033\\"				/* an unfinished sequence or string ends */
	SAVE CSI "?1049l"			/* the ordinary screen; on it already, the cursor stays */
	CSI "!p" CSI "0m"			/* soft reset; colours and attributes */
	SAVE CSI "?69l" CSI "r" LOAD		/* the whole screen scrolls; the cursor stays */
	"\033(B\033)0\017"			/* letters are letters */
	CSI "2l" CSI "4l" CSI "20l"		/* keyboard unlocked, overwriting, LF alone */
	CSI "?1l" "\033>" CSI "?5l" CSI "?45l"	/* cursor keys, keypad, no reverse video or wrap */
	CSI "?9l" CSI "?1000l" CSI "?1001l" CSI "?1002l" CSI "?1003l" CSI "?1004l"	/* mouse, focus */
	CSI "?1005l" CSI "?1006l" CSI "?1015l" CSI "?1016l"
	CSI "?2004l" CSI "?2026l" CSI "=0u" CSI ">4m"	/* paste, held-back output, keys */
	CSI "0 q" CSI "?7h" CSI "?8h" CSI "?25h";	/* the cursor's shape, wrap, repeat, visible */
#undef CSI
#undef SAVE
#undef LOAD
/* clang-format on */
