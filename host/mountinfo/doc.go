// Package mountinfo reads the mounts of this process, with the lines that show them
// (proc_pid_mountinfo(5)).
package mountinfo
