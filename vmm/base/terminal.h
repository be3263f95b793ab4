/*
 * What a terminal obeys, and how to undo it.
 */
#ifndef VMM_BASE_TERMINAL_H
#define VMM_BASE_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the bytes may change how a terminal behaves: more than lines, tabs, bells and letters. */
bool terminal_obeys(const void *bytes, size_t len);

/* Nothing of @text is obeyed any more: line ends and tabs become blanks, other controls question marks. */
void terminal_make_plain(char *text, size_t len);

/*
 * Undoes what escape sequences may have changed, for xterm and its kin; the Linux console ignores what it does not know.
 * The position of the cursor, the text and the title stay.
 */
extern const char terminal_reset[];

#define TERMINAL_RESET_MS 50 /* for a terminal to take it */

#endif
