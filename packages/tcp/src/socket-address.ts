export {
  decodeSocketAddress,
  encodeSocketAddress,
  familyOf,
  internet6Family,
  socketAddressBytesMax,
} from '@sheaf/ring'
