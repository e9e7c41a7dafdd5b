package payload

const machine = 183 // EM_AARCH64

// The numbers of the calls in the table.
const (
	callGetpid = "\xac"
	callGetuid = "\xae"
	callGetgid = "\xb0"
	callPrctl  = "\xa7"
)
