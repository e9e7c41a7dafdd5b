//go:build !linux

package main

func roles() {}
