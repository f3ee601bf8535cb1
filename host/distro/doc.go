// Package distro tells distributions apart: which package has the kernel's modules, how
// one is installed, where the kernel command line is kept. It only knows commands;
// it runs none.
//
// It stands beside event → observe → diff → apply → record: persist and doctor ask
// it for the words of the host at hand.
package distro
