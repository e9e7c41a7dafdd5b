package program

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

// Op is one system call of a program.
type Op struct {
	// Name is what timelines and errors call the op ("mount proc").
	Name string
	// Call is the system call's number, or one of the controls below.
	Call Call
	Args [6]Arg
	// Text is the call as it is printed. Empty: made when it is asked for, since a
	// start has no time for it, by Show or, without one, from Call and Args: readers
	// take String.
	Text string
	Show func() string
	// Accept lists up to four errnos that do not end the program. An op that
	// fails otherwise ends it: the child exits, and Wait returns an *OpError.
	Accept []syscall.Errno
	// Skip is the number of ops to pass over after an accepted errno. 0 goes
	// on with the next op; a negative number goes back, which makes a poll.
	Skip int
	// Zero is the number of ops to pass over when the call returns 0: the
	// child after a clone3, the end of what read(2) reads, or plain success. 0
	// goes on with the next op; a negative number goes back.
	Zero int
	// Onward says that an errno which is not accepted goes on with the next op,
	// too, rather than end the program.
	Onward bool
}

// Call is a system call number, or a control when it is negative.
type Call int32

// Controls are what the loop does beside plain system calls.
const (
	callWait  Call = -1 // wait until a word of the arena has a value
	callTell  Call = -2 // store a word and wake the launcher
	callAgain Call = -3 // clone3 or clone, the sixth argument; the second child goes on, the first exits
	callWatch Call = -4 // let the kernel mark the life word at exec and exit
)

// Ref names an op of a program.
type Ref int

// Arg is an argument of an op: a number, a pointer to data in the arena, or
// the result of an earlier op. It is small, since a container has thousands.
type Arg struct {
	data *block // nil: a number; or one of the tags
	word uintptr
}

// tags tell the other kinds of arguments apart from data.
var tags [4]block

type argKind uint8

const (
	argNumber argKind = iota
	argData
	argResult // word is the op's place in the program
	argHeader // the address of a field of the arena's header; word is its offset
	argHeld   // what is in that field
	argPlace  // the address of the result of an op; word is its place in the program
)

func (a Arg) kind() argKind {
	switch a.data {
	case nil:
		return argNumber
	case &tags[0]:
		return argResult
	case &tags[1]:
		return argHeader
	case &tags[2]:
		return argHeld
	case &tags[3]:
		return argPlace
	}
	return argData
}

// block is what an argument of the kind argData points to, and nil otherwise.
func (a Arg) block() *block {
	if a.kind() != argData {
		return nil
	}
	return a.data
}

// Copy is the process that Fork made, as the original sees it. It is not the
// result of an op, since both have the same results.
func Copy() Arg { return Arg{data: &tags[2], word: offsetForked} }

// inHeader is the address of a field of the arena's header.
func inHeader(offset uintptr) Arg { return Arg{data: &tags[1], word: offset} }

// block is data that an op points to; it is laid out when the program is
// loaded, and shown when it is printed. It is never changed, so ops may share it.
type block struct {
	form  form
	text  string // of a string and of bytes
	words []Arg  // of a vector
	n     int    // the size of a buffer
}

// form is what a block is.
type form uint8

const (
	formString form = iota
	formBytes
	formBuffer
	formWords
	formStrings
)

func (b *block) size() uintptr {
	switch b.form {
	case formString:
		return uintptr(len(b.text)) + 1
	case formBytes:
		return uintptr(len(b.text))
	case formBuffer:
		return uintptr(b.n)
	}
	return uintptr(len(b.words)) * 8
}

// show is what the block holds, in Go's and C's words.
func (b *block) show() string {
	switch b.form {
	case formString:
		return strconv.Quote(b.text)
	case formBytes:
		return fmt.Sprintf("[%d bytes]", len(b.text))
	case formBuffer:
		return fmt.Sprintf("buffer[%d]", b.n)
	}
	words := b.words
	if b.form == formStrings {
		words = words[:len(words)-1] // without the NULL
	}
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = w.String()
	}
	if b.form == formStrings {
		return "[" + strings.Join(texts, ", ") + "]"
	}
	return "{" + strings.Join(texts, ", ") + "}"
}

// Int is a number as an argument.
func Int[T ~int | ~int32 | ~int64 | ~uint | ~uint16 | ~uint32 | ~uint64 | ~uintptr](n T) Arg {
	return Arg{word: uintptr(n)}
}

// String is a pointer to s, with a NUL at its end.
func String(s string) Arg { return Arg{data: &block{form: formString, text: s}} }

// Bytes is a pointer to a copy of b.
func Bytes(b []byte) Arg { return Arg{data: &block{form: formBytes, text: string(b)}} }

// Buffer is a pointer to n zero bytes that ops can write; Process.Buffer
// reads them.
func Buffer(n int) Arg { return Arg{data: &block{form: formBuffer, n: n}} }

// Words is a pointer to a vector of machine words, each an argument of its
// own: an argv, an iovec, a struct that holds pointers.
func Words(words ...Arg) Arg { return Arg{data: &block{form: formWords, words: words}} }

// Strings is a vector of strings that ends with NULL, as execve takes it.
func Strings(list []string) Arg {
	words := make([]Arg, 0, len(list)+1)
	for _, s := range list {
		words = append(words, String(s))
	}
	return Arg{data: &block{form: formStrings, words: append(words, Int(0))}}
}

// Result is the result of an earlier op, for example a descriptor.
func Result(r Ref) Arg { return Arg{data: &tags[0], word: uintptr(r)} }

// ResultAt is a pointer to the result of an earlier op, 8 bytes: an error is the
// errno, negative.
func ResultAt(r Ref) Arg { return Arg{data: &tags[3], word: uintptr(r)} }

// String shows the argument as a program is printed.
func (a Arg) String() string {
	switch a.kind() {
	case argData:
		return a.data.show()
	case argResult:
		return "result of op " + strconv.Itoa(int(a.word)+1)
	case argPlace:
		return "address of the result of op " + strconv.Itoa(int(a.word)+1)
	case argHeld:
		return "the copy"
	case argHeader:
		return fmt.Sprintf("header+%d", a.word)
	}
	if n := int64(a.word); n < 0 && n > -4096 {
		return strconv.FormatInt(n, 10)
	}
	if a.word >= 1<<16 {
		return fmt.Sprintf("%#x", a.word)
	}
	return strconv.FormatUint(uint64(a.word), 10)
}

// String is the op as a program is printed.
func (op Op) String() string {
	var b strings.Builder
	b.WriteString(op.callText())
	if len(op.Accept) > 0 {
		names := make([]string, len(op.Accept))
		for i, e := range op.Accept {
			names[i] = errnoName(e)
		}
		fmt.Fprintf(&b, "  or %s", strings.Join(names, ", "))
		switch {
		case op.Skip > 0:
			fmt.Fprintf(&b, ": skip %d", op.Skip)
		case op.Skip < 0:
			fmt.Fprintf(&b, ": back %d", -op.Skip)
		}
	}
	if op.Onward {
		b.WriteString("  on any other error: the next")
	}
	switch {
	case op.Zero > 0:
		fmt.Fprintf(&b, "  when 0: skip %d", op.Zero)
	case op.Zero < 0:
		fmt.Fprintf(&b, "  when 0: back %d", -op.Zero)
	}
	return b.String()
}
