// The service of grpc-server.mjs and grpc-client.mjs. Messages are bytes as they are: there is no need of protobuf.
const asIs = (bytes) => bytes
const method = (name, requestStream, responseStream) => ({
  path: `/sheaf.Bytes/${name}`,
  requestStream,
  responseStream,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
})

export const service = {
  echo: method('Echo', false, false),
  count: method('Count', false, true),
  hash: method('Hash', true, false),
  chat: method('Chat', true, true),
}
