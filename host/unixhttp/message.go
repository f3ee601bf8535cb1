package unixhttp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
)

// maxHead limits the first line and the fields of a request or an answer, in bytes.
const maxHead = 8 << 10

var (
	errMalformed = errors.New("malformed HTTP message")
	errTooLarge  = fmt.Errorf("the HTTP header has more than %d bytes", maxHead)
)

// head is a message up to its empty line (RFC 9112, section 2.1).
type head struct {
	first string
	// fields has the values by name, in lower case.
	fields map[string]string
}

// readHead reads a head. The reader's buffer has maxHead bytes.
func readHead(in *bufio.Reader) (head, error) {
	h := head{fields: map[string]string{}}
	for total, count := 0, 0; ; count++ {
		line, err := in.ReadSlice('\n')
		total += len(line)
		switch {
		case errors.Is(err, bufio.ErrBufferFull), total > maxHead:
			return h, errTooLarge
		case errors.Is(err, io.EOF):
			return h, io.ErrUnexpectedEOF
		case err != nil:
			return h, err
		}
		text := strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r")
		if count == 0 {
			h.first = text
			continue
		}
		if text == "" {
			return h, nil
		}
		name, value, found := strings.Cut(text, ":")
		if !found || !isToken(name) {
			return h, errMalformed
		}
		h.fields[strings.ToLower(name)] = strings.Trim(value, " \t")
	}
}

// isToken reports whether text is a name (RFC 9110, section 5.6.2).
func isToken(text string) bool {
	const marks = "!#$%&'*+-.^_`|~"
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		isWord := '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		return !isWord && !strings.ContainsRune(marks, r)
	})
}

// isVersion reports whether text is HTTP/1.0 or a later HTTP/1.
func isVersion(text string) bool {
	minor, found := strings.CutPrefix(text, "HTTP/1.")
	return found && len(minor) == 1 && '0' <= minor[0] && minor[0] <= '9'
}

// request is the head of a request.
type request struct {
	method, path string
	query        url.Values
	// isOld is true for HTTP/1.0, which has no chunks.
	isOld bool
}

func readRequest(in *bufio.Reader) (r request, err error) {
	h, err := readHead(in)
	if err != nil {
		return r, err
	}
	words := strings.Split(h.first, " ")
	if len(words) != 3 || !isToken(words[0]) || !isVersion(words[2]) {
		return r, errMalformed
	}
	target, err := url.ParseRequestURI(words[1])
	if err != nil {
		return r, errMalformed
	}
	query, err := url.ParseQuery(target.RawQuery)
	if err != nil {
		return r, errMalformed
	}
	return request{words[0], target.Path, query, words[2] == "HTTP/1.0"}, nil
}

// readStatus reads the head of an answer, and returns its status ("404 Not Found") beside it.
func readStatus(in *bufio.Reader) (code int, status string, h head, err error) {
	if h, err = readHead(in); err != nil {
		return 0, "", h, err
	}
	version, status, _ := strings.Cut(h.first, " ")
	number, _, _ := strings.Cut(status, " ")
	code, err = strconv.Atoi(number)
	if err != nil || !isVersion(version) || len(number) != 3 || code < 100 {
		return 0, "", h, errMalformed
	}
	return code, status, h, nil
}
