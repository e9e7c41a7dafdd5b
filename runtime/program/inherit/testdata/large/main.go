// Command large tells which of its mappings have large pages, and what entry did.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"unsafe"

	"isoperf/runtime/program/inherit"
)

func main() {
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		log.Fatal(err)
	}
	soft, _, _ := inherit.Nofile()
	if err := json.NewEncoder(os.Stdout).Encode(map[string]any{
		"data": large(string(text), uintptr(unsafe.Pointer(&os.Args))),
		"heap": large(string(text), uintptr(unsafe.Pointer(unsafe.SliceData(os.Args)))),
		"at":   inherit.At(),
		"soft": soft,
		"args": os.Args[1:],
	}); err != nil {
		log.Fatal(err)
	}
}

// large says whether there is a large page in the mapping that has an address.
func large(smaps string, address uintptr) bool {
	inside := false
	for line := range strings.Lines(smaps) {
		var from, to uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			inside = from <= address && address < to
		}
		var kib int
		if n, _ := fmt.Sscanf(line, "AnonHugePages: %d kB", &kib); n == 1 && inside {
			return kib > 0
		}
	}
	return false
}
