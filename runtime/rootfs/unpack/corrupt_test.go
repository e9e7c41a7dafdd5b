package unpack

import (
	"bytes"
	"context"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestCorrupt: each damage is an error that names the archive, the entry, and
// what is wrong.
func TestCorrupt(t *testing.T) {
	good := archiveOf(t, file("first", strings.Repeat("1", 1000)), file("second", strings.Repeat("2", 1000)))
	second := bytes.Index(good, []byte("second\x00"))
	for second%512 != 0 { // the header's own name, after its PAX header
		second += 1 + bytes.Index(good[second+1:], []byte("second\x00"))
	}
	damaged := func(at int, with string) []byte {
		d := slices.Clone(good)
		copy(d[at:], with)
		return d
	}
	zipped := gz(t, good)
	badCRC := slices.Clone(zipped)
	badCRC[len(badCRC)-8] ^= 1
	for name, c := range map[string]struct {
		data []byte
		want []string
	}{
		"empty":              {nil, []string{"x.tar is not a tar archive: it is empty"}},
		"empty gzip":         {gz(t, nil), []string{"x.tar is not a tar archive: it is empty"}},
		"text":               {[]byte(strings.Repeat("no archive\n", 100)), []string{"x.tar is not a tar archive: ", "invalid tar header"}},
		"short text":         {[]byte("no archive"), []string{"x.tar is not a tar archive: it ends within the first header"}},
		"zipped text":        {gz(t, []byte(strings.Repeat("no archive\n", 100))), []string{"x.tar is not a tar archive: "}},
		"ELF":                {append([]byte("\x7fELF"), make([]byte, 2000)...), []string{"x.tar is not a tar archive: "}},
		"cut in content":     {good[:second-1500], []string{`unpack x.tar: entry "first" (number 1): read its content at byte`, "cut short", "again"}},
		"cut in header":      {good[:second+100], []string{`unpack x.tar: after entry "first" (number 1): `, "cut short"}},
		"cut between":        {good[:second-1024], []string{`unpack x.tar: after entry "first" (number 1): `, "cut short", "end-of-archive"}},
		"cut at the end":     {good[:second+512+1024], []string{`after entry "second" (number 2): `, "end-of-archive"}},
		"checksum":           {damaged(second+148, "0000000"), []string{`unpack x.tar: after entry "first" (number 1): `, "not a tar header"}},
		"garbage":            {append(slices.Clone(good[:second-1024]), bytes.Repeat([]byte("garbage "), 1000)...), []string{`after entry "first" (number 1): `, "not a tar header"}},
		"gzip CRC":           {badCRC, []string{`unpack x.tar: after entry "second" (number 2): `, "gzip data is damaged", "again"}},
		"gzip cut":           {zipped[:len(zipped)-20], []string{"unpack x.tar: ", "gzip data is damaged", "again"}},
		"gzip cut in header": {zipped[:5], []string{"x.tar is not a tar archive: the gzip data is damaged"}},
		"gzip garbage":       {append(slices.Clone(zipped[:40]), bytes.Repeat([]byte{0xff}, 3000)...), []string{"x.tar", "gzip data is damaged"}},
	} {
		t.Run(name, func(t *testing.T) {
			fds := descriptors(t)
			_, err := Tar(context.Background(), bytes.NewReader(c.data), tempDir(t), Options{Name: "x.tar"})
			for _, text := range c.want {
				mustFail(t, err, text)
			}
			if now := descriptors(t); now != fds {
				t.Errorf("descriptors: %d before, %d after", fds, now)
			}
		})
	}
	// One block of zeros is an end, as for tar; what follows the end is not
	// the archive's.
	unpackOK(t, good[:second+512+1024+512], tempDir(t), Options{})
	unpackOK(t, append(slices.Clone(good), "garbage"...), tempDir(t), Options{})
}

// TestCorruptCompressed: a bit that is wrong anywhere is noticed.
func TestCorruptCompressed(t *testing.T) {
	plain := archiveOf(t, file("a", strings.Repeat("some content ", 1000)))
	for _, format := range []string{"xz", "zstd", "bzip2"} {
		requireProgram(t, format)
		cmd := exec.Command(format, "-c")
		cmd.Stdin = bytes.NewReader(plain)
		data, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		bad := slices.Clone(data)
		bad[len(bad)/2] ^= 0x10
		for what, d := range map[string][]byte{"wrong": bad, "cut": data[:len(data)/2], "cut late": data[:len(data)-3]} {
			_, err := Tar(context.Background(), bytes.NewReader(d), tempDir(t), Options{})
			if err == nil {
				t.Errorf("%s, %s: no error", format, what)
			} else {
				mustFail(t, err, format+" data is damaged")
			}
		}
	}
}
