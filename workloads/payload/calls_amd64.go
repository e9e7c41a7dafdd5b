package payload

const machine = 62 // EM_X86_64

// The numbers of the calls in the table.
const (
	callGetpid = "\x27"
	callGetuid = "\x66"
	callGetgid = "\x68"
	callPrctl  = "\x9d"
)
