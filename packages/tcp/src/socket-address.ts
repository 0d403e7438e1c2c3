export {
  decodeSocketAddress,
  encodeSocketAddress,
  familyOf,
  internet6Family,
  socketAddressBytesMax,
  zoneIndex,
} from '@sheaf/ring'
