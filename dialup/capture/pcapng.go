package capture

import (
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
