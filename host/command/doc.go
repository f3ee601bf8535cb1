// Package command runs programs within limits: a timeout, a limit of what they print, and LC_ALL=C.
package command
