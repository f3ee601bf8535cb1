package main

import (
	"errors"
	"fmt"
	"os"
)

func main() {
	text, err := generate(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "metadata:", err)
		os.Exit(1)
	}
	fmt.Print(text)
}

func generate(args []string) (string, error) {
	switch {
	case len(args) == 2 && args[0] == "copyright":
		return copyright(args[1])
	case len(args) == 2 && args[0] == "changelog":
		text, err := os.ReadFile("CHANGELOG.md")
		if err != nil {
			return "", err
		}
		return changelog(string(text), args[1])
	}
	return "", errors.New("usage: metadata copyright PROGRAM | metadata changelog VERSION")
}
