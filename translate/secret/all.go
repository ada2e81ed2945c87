package secret

import (
	"net/url"
	"reflect"
	"strings"
)

// Holder is a value that knows best which of its texts are secret.
type Holder interface{ Secrets() []Text }

// All returns every secret in a value, however deep: each Text, what a Holder says,
// and the passwords and keys of URLs. It is for a whole configuration, so that a
// setting that is new is covered by its type. It reads exported fields only.
func All(v any) []Text {
	var c collector
	c.walk(reflect.ValueOf(v))
	return c.found
}

type collector struct{ found []Text }

func (c *collector) walk(v reflect.Value) {
	if !v.IsValid() || !v.CanInterface() {
		return
	}
	switch value := v.Interface().(type) {
	case Text:
		if !value.IsZero() {
			c.found = append(c.found, value)
		}
		return
	case Holder:
		if v.Kind() != reflect.Pointer || !v.IsNil() {
			c.found = append(c.found, value.Secrets()...)
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			c.walk(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			c.walk(v.Field(i))
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range v.Len() {
			c.walk(v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			c.walk(v.MapIndex(key))
		}
	case reflect.String:
		c.url(v.String())
	}
}

// url adds the password of a URL, and the keys in its query.
func (c *collector) url(text string) {
	if !strings.Contains(text, "://") {
		return
	}
	u, err := url.Parse(text)
	if err != nil {
		return
	}
	if password, ok := u.User.Password(); ok {
		c.found = append(c.found, New(password))
	}
	for _, values := range u.Query() {
		for _, v := range values {
			c.found = append(c.found, New(v))
		}
	}
}
