package capture

import (
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// linkPPPWithDir is LINKTYPE_PPP_WITH_DIR: PPP frames as on the wire, without FCS, behind
// an octet that is 0 for a frame received and 1 for one sent.
const linkPPPWithDir layers.LinkType = 204

// writeCall writes a call as one pcapng section.
func writeCall(w io.Writer, call Call, blocks [][]byte) error {
	intf := pcapgo.NgInterface{
		Name: call.Line, Description: "PPP on a dial-up line", Comment: call.String(),
		LinkType: linkPPPWithDir, TimestampResolution: 9,
	}
	section := pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{
		Application: "Postern", OS: runtime.GOOS, Hardware: runtime.GOARCH, Comment: call.String(),
	}}
	ng, err := pcapgo.NewNgWriterInterface(w, intf, section)
	if err != nil {
		return fmt.Errorf("the capture could not be written: %w", err)
	}
	var data []byte
	for f := range frames(blocks) {
		data = append(append(data[:0], byte(f.dir)), f.kept...)
		info := gopacket.CaptureInfo{Timestamp: f.at, CaptureLength: len(data), Length: 1 + f.size}
		if err := ng.WritePacket(info, data); err != nil {
			return fmt.Errorf("the capture could not be written: %w", err)
		}
	}
	err = ng.WriteInterfaceStats(0, pcapgo.NgInterfaceStatistics{
		LastUpdate: call.Last, StartTime: call.Started, EndTime: call.Last,
		PacketsReceived: call.Frames, PacketsDropped: call.Dropped,
	})
	if err == nil {
		err = ng.Flush()
	}
	if err != nil {
		return fmt.Errorf("the capture could not be written: %w", err)
	}
	return nil
}

// readCapture opens a capture and returns its comment.
func readCapture(r io.Reader) (*pcapgo.NgReader, string, error) {
	ng, err := pcapgo.NewNgReader(r, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		return nil, "", fmt.Errorf("this is no pcapng file: %w", err)
	}
	if ng.LinkType() != linkPPPWithDir {
		return nil, "", fmt.Errorf("the capture is not of a call: its link type is %d, not %d", ng.LinkType(), linkPPPWithDir)
	}
	return ng, ng.SectionInfo().Comment, nil
}

// Print writes the capture of a call, as Write and Save make it, as a Trace's lines. The
// name is the Trace's.
func Print(w io.Writer, name string, pcapng io.Reader) error {
	ng, comment, err := readCapture(pcapng)
	if err != nil {
		return err
	}
	t := NewTrace(w, name)
	for {
		data, info, err := ng.ReadPacketData()
		if errors.Is(err, io.EOF) {
			t.Close(comment)
			return t.err
		}
		if err != nil {
			return fmt.Errorf("the capture ends in the middle: %w", err)
		}
		if len(data) > 0 && info.Length > 0 && t.err == nil {
			t.frame(info.Timestamp, direction(data[0]&1), data[1:], info.Length-1)
		}
	}
}
