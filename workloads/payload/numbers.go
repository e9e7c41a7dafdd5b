package payload

// The machine code uses these numbers, by their names in go_asm.h.

// What follows when all of the buffer is written.
const (
	thenExit    = 0
	thenNext    = 1 // the next row of the table
	thenSection = 2 // what belongs below the title
	thenRead    = 3 // the rest of the file
	thenReboot  = 4
	thenStatus  = 5 // exit with the child's status
)

// The first four characters of the argument, as a little-endian number.
const (
	wordLook   = 'l' | 'o'<<8 | 'o'<<16 | 'k'<<24
	wordWeigh  = 'w' | 'e'<<8 | 'i'<<16 | 'g'<<24
	wordReboot = 'r' | 'e'<<8 | 'b'<<16 | 'o'<<24
)

// The kinds of rows: what stands below a title. A kindCall has no title: it is
// one line, the text and the result of the call with this one argument.
const (
	kindTitle = 1
	kindLink  = 2 // where a symbolic link leads
	kindRead  = 3 // a file
	kindName  = 4 // the host's name, from uname(2)
	kindCall  = 5
)
