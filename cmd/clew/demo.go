package main

import "errors"

func demo(*env, []string) error { return errors.New("todo") }
