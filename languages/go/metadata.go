package nightcore

import (
	"encoding/binary"
	"fmt"
	"iter"
	"strings"
)

// Metadata are ordered pairs of a name and a value. A name may occur more than once. Names are in
// lower case. Those that begin with a colon are Nightcore's own: ":method", ":prefix", ":path" and
// ":query" of a request over HTTP, ":status" of an answer. The zero value has no pairs. A value
// never changes.
type Metadata struct {
	// block has, for each pair, the lengths of the name and the value, then the name and the value.
	block string
}

// pairHead is the size of the lengths before each pair: two numbers of four bytes.
const pairHead = 8

// NewMetadata returns metadata from alternating names and values. It panics if a value is missing.
func NewMetadata(pairs ...string) Metadata {
	if len(pairs)%2 != 0 {
		panic(fmt.Sprintf("nightcore.NewMetadata: the name %q has no value", pairs[len(pairs)-1]))
	}
	var block []byte
	for i := 0; i < len(pairs); i += 2 {
		block = appendPair(block, pairs[i], pairs[i+1])
	}
	return Metadata{string(block)}
}

func appendPair(block []byte, name, value string) []byte {
	block = binary.NativeEndian.AppendUint32(block, uint32(len(name)))
	block = binary.NativeEndian.AppendUint32(block, uint32(len(value)))
	return append(append(block, strings.ToLower(name)...), value...)
}

// With returns metadata with one more pair at the end.
func (m Metadata) With(name, value string) Metadata {
	return Metadata{string(appendPair([]byte(m.block), name, value))}
}

// withFirst returns metadata that begin with this pair and have no other pair of its name.
func (m Metadata) withFirst(name, value string) Metadata {
	block := appendPair(nil, name, value)
	for other, value := range m.All() {
		if other != name {
			block = appendPair(block, other, value)
		}
	}
	return Metadata{string(block)}
}

// All returns the pairs in their order.
func (m Metadata) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for rest := m.block; rest != ""; {
			head := []byte(rest[:pairHead])
			name := pairHead + int(binary.NativeEndian.Uint32(head))
			value := name + int(binary.NativeEndian.Uint32(head[4:]))
			if !yield(rest[pairHead:name], rest[name:value]) {
				return
			}
			rest = rest[value:]
		}
	}
}

// Get returns the first value of a name, or "" if there is none.
func (m Metadata) Get(name string) string {
	value, _ := m.Lookup(name)
	return value
}

// Lookup returns the first value of a name, and whether there is one.
func (m Metadata) Lookup(name string) (string, bool) {
	name = strings.ToLower(name)
	for n, value := range m.All() {
		if n == name {
			return value, true
		}
	}
	return "", false
}

// Values returns all values of a name, in their order.
func (m Metadata) Values(name string) []string {
	name = strings.ToLower(name)
	var values []string
	for n, value := range m.All() {
		if n == name {
			values = append(values, value)
		}
	}
	return values
}

// Len returns the number of pairs.
func (m Metadata) Len() int {
	count := 0
	for range m.All() {
		count++
	}
	return count
}

// String returns the pairs, one on each line.
func (m Metadata) String() string {
	var text strings.Builder
	for name, value := range m.All() {
		fmt.Fprintf(&text, "%s: %s\n", name, value)
	}
	return text.String()
}
