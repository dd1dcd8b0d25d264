package picture

import (
	"bytes"
	"encoding/binary"
)

// orientation returns the orientation that a JPEG's EXIF data says, 1 to 8; 0
// for what is no JPEG or does not say. It looks at what is there and believes
// no length.
func orientation(data []byte) int {
	rest, ok := bytes.CutPrefix(data, []byte("\xff\xd8"))
	for ok && len(rest) >= 4 && rest[0] == 0xff {
		marker, size := rest[1], int(binary.BigEndian.Uint16(rest[2:]))
		switch {
		case marker == 0xff: // fill
			rest = rest[1:]
			continue
		case marker == 0xda || marker == 0xd9, size < 2, len(rest) < 2+size: // the picture itself begins
			return 0
		}
		if tiff, is := bytes.CutPrefix(rest[4:2+size], []byte("Exif\x00\x00")); marker == 0xe1 && is {
			return tiffOrientation(tiff)
		}
		rest = rest[2+size:]
	}
	return 0
}

func tiffOrientation(tiff []byte) int {
	const orientationTag, short, entrySize = 0x0112, 3, 12
	if len(tiff) < 8 {
		return 0
	}
	var order binary.ByteOrder
	switch string(tiff[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 0
	}
	at := uint64(order.Uint32(tiff[4:]))
	if at+2 > uint64(len(tiff)) {
		return 0
	}
	n := int(order.Uint16(tiff[at:]))
	entries := tiff[at+2:]
	for ; n > 0 && len(entries) >= entrySize; n-- {
		if order.Uint16(entries) == orientationTag && order.Uint16(entries[2:]) == short {
			if o := int(order.Uint16(entries[8:])); o >= 1 && o <= 8 {
				return o
			}
			return 0
		}
		entries = entries[entrySize:]
	}
	return 0
}
