/* The agent's program, as the build made it: AGENT is its path. */
	.section .rodata
	.balign 16
	.global agent_program, agent_program_end
agent_program:
	.incbin AGENT
agent_program_end:
	.section .note.GNU-stack, "", @progbits
