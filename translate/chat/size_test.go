package chat_test

import (
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/translate/chat"
)

func TestTextSizeCountsTextAndNotEncodedMedia(t *testing.T) {
	image := `{"type":"image_url","image_url":{"url":"data:image/png;base64,` + strings.Repeat("A", 100_000) + `"}}`
	for name, tc := range map[string]struct {
		body             string
		least, most, med int64
	}{
		"text": {`{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("x", 1000) + `"}]}`, 1000, 1100, 0},
		"an image": {
			`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"what is this"},` + image + `]}]}`, 12, 12, 1,
		},
		"tools":              {`{"model":"m","messages":[],"tools":[{"type":"function","function":{"name":"f"}}]}`, 40, 60, 0},
		"messages that fail": {`{"model":"m","messages":[{"image_url":1}]}`, 1, 100, 0},
	} {
		req, err := chat.Parse(chat.Completions, []byte(tc.body), "")
		if err != nil {
			t.Fatal(err)
		}
		if text, media := req.TextSize(); text < tc.least || text > tc.most || media != tc.med {
			t.Errorf("%s: %d bytes and %d media, want %d to %d and %d", name, text, media, tc.least, tc.most, tc.med)
		}
	}
}

func TestTheSizeOfAResponsesInputLeavesItsMediaOut(t *testing.T) {
	encoded := "data:image/png;base64," + strings.Repeat("A", 100_000)
	for name, tc := range map[string]struct {
		input            string
		least, most, med int64
	}{
		"a text": {`"` + strings.Repeat("x", 1000) + `"`, 1000, 1010, 0},
		"an image": {
			`[{"role":"user","content":[{"type":"input_text","text":"what is this"},{"type":"input_image","image_url":"` + encoded + `"}]}]`, 60,
			200, 1,
		},
		"two files": {
			`[{"role":"user","content":[{"type":"input_file","file_data":"` + encoded + `"},{"type":"input_file","file_url":"https://h/f"}]}]`, 60,
			200, 2,
		},
		"a sound": {
			`[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"` + encoded + `","format":"mp3"}}]}]`, 40, 200, 1,
		},
		"a text that names media": {
			`[{"role":"user","content":[{"type":"input_text","text":"image_url"},{"type":"input_text","text":"` + strings.Repeat("x", 1000) +
				`"}]}]`,
			1000, 1200, 0,
		},
	} {
		req, err := chat.Parse(chat.Responses, []byte(`{"model":"m","input":`+tc.input+`}`), "")
		if err != nil {
			t.Fatal(err)
		}
		if text, media := req.TextSize(); text < tc.least || text > tc.most || media != tc.med {
			t.Errorf("%s: %d bytes and %d media, want %d to %d and %d", name, text, media, tc.least, tc.most, tc.med)
		}
	}
}
