/** One exact text and what stands in its place. */
export interface Edit {
  readonly find: string
  readonly replace: string
}

/** A fault put into Sheaf's code on purpose. */
export interface Mutation {
  readonly name: string
  /** Below `packages`. */
  readonly file: string
  readonly edits: readonly Edit[]
}

/** @returns a file's text with the fault in it. @throws Error if a text is not found once: the table is out of date. */
export function mutated({ name, file, edits }: Mutation, source: string): string {
  return edits.reduce((text, { find, replace }) => {
    const found = text.split(find).length - 1
    if (found !== 1) throw new Error(`"${name}": its text is ${found} times in ${file}`)
    return text.replace(find, () => replace)
  }, source)
}

function mutation(name: string, file: string, find: string, replace: string): Mutation {
  return { name, file, edits: [{ find, replace }] }
}

const table = 'ring/src/queue/operation-table.ts'
const submissions = 'ring/src/queue/submission-queue.ts'
const cancellation = 'ring/src/queue/cancellation.ts'
const completions = 'ring/src/queue/completion-queue.ts'
const pool = 'ring/src/memory/receive-pool.ts'
const entries = 'ring/src/memory/entry-ring.ts'
const group = 'ring/src/memory/send-group.ts'
const bundle = 'ring/src/memory/bundle-group.ts'
const bufferRing = 'ring/src/memory/buffer-ring.ts'
const waiters = 'ring/src/memory/buffer-waiters.ts'
const sendMemory = 'ring/src/memory/send-memory.ts'
const sendQueue = 'ring/src/stream/send-queue.ts'
const connection = 'ring/src/stream/connection.ts'
const receiver = 'ring/src/stream/receiver.ts'
const closing = 'ring/src/stream/closing.ts'
const sender = 'ring/src/stream/sender.ts'
const forwarding = 'ring/src/stream/pool-forwarding.ts'
const backlog = 'ring/src/stream/backlog.ts'
const listener = 'ring/src/stream/listener.ts'
const messageReceiver = 'ring/src/message/receiver.ts'
const messageRequest = 'ring/src/message/request.ts'
const messageSender = 'ring/src/message/sender.ts'

/** Faults of the kinds that are made: each must be caught. */
export const mutations: readonly Mutation[] = [
  mutation('a completion\'s generation is not looked at', table,
    'owner === undefined || this.#generations[slot] !== (userDataHigh & generationMask)', 'owner === undefined'),
  mutation('a slot is released without a new generation', table,
    'this.#generations[slot] = (this.#generations[slot] + 1) & generationMask\n', '\n'),
  mutation('a completion with more to come ends its request', table,
    'if ((flags & CompletionFlag.More) === 0) {', 'if (slot >= 0) {'),
  {
    name: 'a submission is published before it is written',
    file: submissions,
    edits: [{
      find: `    if (this.pending > this.#mask) this.#submitFull()
    if (operation === Operation.Send) this.#wanted[Wish.Sent] = 1
    const entries = this.#entries
    const at = (this.#tail & this.#mask) * wordsPerEntry
`,
      replace: `    const entries = this.#entries
    const at = (this.#tail & this.#mask) * wordsPerEntry
    this.#tail = (this.#tail + 1) | 0
    if (this.pending > this.#mask) this.#submitFull()
`,
    }, {
      find: '    this.#tail = (this.#tail + 1) | 0\n    this.#metrics.submissions++',
      replace: '    this.#metrics.submissions++',
    }],
  },
  mutation('the submission queue takes one entry too many', submissions,
    'if (this.pending > this.#mask) this.#submitFull()', 'if (this.pending > this.#mask + 1) this.#submitFull()'),
  mutation('a chain of linked requests is submitted in parts', submissions,
    'if (this.pending !== 0 && entries - this.pending < requests) this.#submitFull()\n',
    'if (this.pending !== 0 && entries - this.pending < requests) return requests\n'),
  mutation('what the submission before left in an entry stays', submissions,
    '    entries[at + 11] = 0\n', ''),
  mutation('the completion queue forgets to wrap', completions,
    'const at = (this.#head & this.#mask) << 2\n      const low', 'const at = this.#head << 2\n      const low'),
  mutation('a completion is handed over twice', completions,
    'this.#head = (this.#head + 1) | 0\n      if (low',
    'if (this.#metrics.completions % 97 !== 0) this.#head = (this.#head + 1) | 0\n      if (low'),
  mutation('entries pushed together forget to wrap', entries,
    'const part = Math.min(left, this.entries - (at >>> 2))', 'const part = left'),
  mutation('pushing over the first entry overwrites the tail', entries,
    'words[at + 3] = (words[at + 3] & 0xffff0000) | id', 'words[at + 3] = id'),
  mutation('more is published than was pushed', bufferRing,
    'Atomics.store(this.#tailWord, tailIndex, this.tail & 0xffff)',
    'Atomics.store(this.#tailWord, tailIndex, (this.tail + 1) & 0xffff)'),
  mutation('a run of buffers is counted one short', pool,
    '    run.first = first\n    run.count = count\n',
    '    run.first = first\n    run.count = count > 1 ? count - 1 : count\n'),
  mutation('a run goes on into a buffer that is no neighbour', pool,
    'if ((words[at + 3] & 0xffff) !== first + count) break', ''),
  mutation('moving buffers to a group forgets the wrap of the pool', pool,
    'if (untilWrap !== count) target.pushFrom(words, 0, count - untilWrap)', ''),
  mutation('the last buffer of a partial bundle goes out whole', pool,
    'target.words[target.at(target.tail - 1) + 2] = last\n', ''),
  mutation('recycled buffers are not published', pool,
    '    this.#published = tail\n    this.#ring.publish()\n', '    this.#published = tail\n'),
  mutation('a pool that has grown gives its new buffers twice', pool,
    '    this.buffers += buffers\n    this.recycle(first, buffers)',
    '    this.buffers += buffers\n    this.recycle(first === 0 ? first : first - 1, buffers)'),
  mutation('a completion of part of a bundle takes nothing off', group,
    '        this.#shorten(position, left)\n', ''),
  mutation('a sent span of several buffers gives back one', group,
    'count += counts[index]\n', 'count += 1\n'),
  mutation('a short bundle is not noticed', group,
    'if (--this.#requests !== 0 || this.head === this.#goal) return false',
    'if (--this.#requests !== 0 || this.#goal !== undefined) return false'),
  mutation('a group counts a request as ended with each completion', sendQueue,
    'const ended = (flags & CompletionFlag.More) === 0', 'const ended = flags !== -1'),
  mutation('abandoned spans keep their buffers', group,
    '    this.#takeOff(Infinity)\n    this.restore()', '    this.head = this.queue.tail\n    this.restore()'),
  mutation('a restored group forgets which buffers its spans are of', bundle,
    '    this.moved(head, 0, spans)\n', ''),
  mutation('blocks of a group that is never empty move and are counted as they lay', group,
    '    this.#blocksPushed -= this.#blocksReleased\n', ''),
  mutation('a restored group keeps what the kernel has committed', bundle,
    '    ring.clear()\n', '    ring.tail = 0\n'),
  mutation('a group is published after its request is submitted', bundle,
    '    this.ring.publish()\n    queue.sendBundle(slot, fd, this.ring.group, waits)',
    '    queue.sendBundle(slot, fd, this.ring.group, waits)'),
  mutation('a block is free while spans of it are in the kernel', sendMemory,
    'if (--block.references !== 0) return', 'if (--block.references > 1) return'),
  mutation('a block that is in flight is free before its completion', sendQueue,
    '    block.references++\n    this.#flightBlock = block', '    this.#flightBlock = block'),
  mutation('the rest of a partial send is forgotten', sendQueue,
    'if (this.#flightStart === this.#flightEnd) {',
    'if (this.#flightStart <= this.#flightEnd) {'),
  mutation('the rest of a partial send begins at its beginning', sendQueue,
    '    this.#flightStart += result\n', ''),
  mutation('who is to send in the next turn is forgotten', sender,
    'this.#ring.turn.scheduleNext(this.#owner)', 'this.#owner.receives'),
  mutation('a second send goes out beside the one in flight', sendQueue,
    '    if (this.inFlight) return true\n    if (this.awaitsTurn)', '    if (this.awaitsTurn)'),
  mutation('what an interrupted send was to send is lost', sendQueue, '      if (again) return true\n', ''),
  mutation('a cancelled send is sent on while closing', sendQueue,
    '    metrics.shortSends++\n    // What', '    metrics.shortSends++\n    this.#submitFlight(block)\n    // What'),
  mutation('what is behind a large chunk is sent twice', sendQueue,
    'backlog.skip(ofBacklog)', 'backlog.skip(Math.min(ofBacklog, chunk.byteLength))'),
  mutation('what is sent for want of send memory overtakes spans', sendQueue,
    'large === undefined && !this.#holdsSpans ? backlog.next', 'large === undefined ? backlog.next'),
  mutation('what was open is sent again behind what was sent along with it', sendQueue,
    '    this.#start += Math.min(sent, before)\n', ''),
  mutation('who finds neither send memory nor room waits for nothing', sender,
    'if (waits) this.#waitForRoom()', 'if (waits && queue.queuedBytes === 0) this.#waitForRoom()'),
  mutation('a forwarded buffer overtakes what was written before', sendQueue,
    '    if (open) this.#closeSpan(group)\n    return group', '    return group'),
  mutation('a forwarded buffer overtakes the backlog', sendQueue,
    'if (group === undefined || this.#backlog !== undefined || group.room',
    'if (group === undefined || group.room'),
  mutation('a group is not given back', sendQueue,
    '    this.#group = undefined\n    this.#ring.groups.give(group)\n', '    this.#group = undefined\n'),
  mutation('the backlog gives the beginning of a chunk again', backlog,
    'piece.bytes.subarray(this.#offset, this.#offset + count)', 'piece.bytes.subarray(0, count)'),
  {
    name: 'what becomes tellable while a connection tells something is told when there is more',
    file: connection,
    edits: [
      { find: '    this.scheduled = false\n    let told = false\n', replace: '    let told = false\n' },
      {
        find: '      if (!told) this.ring.turn.schedule(this)\n',
        replace: '      this.scheduled = false\n      if (!told) this.ring.turn.schedule(this)\n',
      },
    ],
  },
  mutation('a receive is armed a second time', receiver,
    '    this.#armed = true\n    this.arm()', '    this.arm()'),
  mutation('a multishot that has ended is not armed anew', receiver,
    '    if (ended) this.#armed = false\n', '    if (ended && result < 0) this.#armed = false\n'),
  mutation('a socket without buffers does not wait for them', receiver,
    '      this.park()\n      return\n', '      return\n'),
  mutation('a stream that is received from directly is armed, too', receiver,
    ' && !this.owner.parked && !this.#direct) this.#arm()', ' && !this.owner.parked) this.#arm()'),
  mutation('completions are joined where a buffer is not full', receiver,
    '      if (buffers === 0) break\n', ''),
  mutation('completions of several requests are joined', completions,
    'if (entries[at] !== this.#low || entries[at + 1] !== this.#high) return 0', ''),
  mutation('pausing is ignored for what arrives', receiver,
    'if (this.paused || this.#kept !== undefined) {', 'if (this.#kept !== undefined) {'),
  mutation('what arrives overtakes what was kept', receiver,
    'if (this.paused || this.#kept !== undefined) {', 'if (this.paused) {'),
  mutation('what arrives while closing stays with the connection', receiver,
    `    if (payload === 0 || this.owner.state === 'closing') {
      pool.skip(bytes)`,
    `    if (payload === 0 || this.owner.state === 'closing') {
      if (payload !== 0) pool.takeRun(bytes, 0); else pool.skip(bytes)`),
  mutation('the descriptor is closed before the last completion', closing,
    '    if (outstanding === 0) {', '    if (outstanding <= 1) {'),
  mutation('what is in flight is not cancelled when closing', closing,
    'if (!this.#cancellation.isDue(length, length)) return false', 'return false'),
  mutation('what a cancellation has missed is left in the kernel', cancellation,
    '    if (--this.#unanswered === 0 && this.#missed > 0) this.#made = false\n', ''),
  mutation('an interrupted send fails its connection', sender, 'result === -Errno.EINTR || ', ''),
  mutation('what a reset has cut short is told as an end', sender,
    'return this.#cutShort || (this.failure !== 0 && !this.#owner.underSocket)', 'return false'),
  mutation('drain is told while the queue is full', sender,
    'if (queue.waiting || queue.queuedBytes > lowWaterMark) return', ''),
  mutation('a spilled buffer is recycled twice', forwarding,
    '      pool.recycle(first, count)\n    }\n    this.#checkPressure()',
    '      pool.recycle(first, count)\n      pool.recycle(first, 1)\n    }\n    this.#checkPressure()'),
  mutation('a forwarded buffer is recycled at once', forwarding,
    'first, count) === true) continue\n',
    'first, count) === true) {\n        pool.recycle(first, count)\n        continue\n      }\n'),
  mutation('who waits for buffers is forgotten when one comes', waiters,
    'for (const waiter of released) {', 'for (const waiter of released.slice(1)) {'),
  mutation('an accepted connection is lost when the listener closes', listener,
    '      this.#refuse(fd)\n      return\n', '      return\n'),
  mutation('a buffer named by an end is taken for used at once', pool,
    '    this.#doubtful = true\n    if (head < 0) this.#settleDoubt(true)', '    this.#settleDoubt(true)'),
  mutation('the FIN leaves before what is queued', sender,
    "if (this.#owner.state !== 'open' && queue.queuedBytes === 0 && !queue.inFlight) this.#finish()",
    "if (this.#owner.state !== 'open') this.#finish()"),
  mutation('who waits for buffers is never let go', waiters,
    'this.#waiting.splice(0, served)\n    if (this.reserveOpen)',
    'this.#waiting.splice(0, 0 * served)\n    if (released.length !== 0)'),
  mutation('a datagram\'s buffer is recycled before it is handed over', messageReceiver,
    '    batch.hold(run.first)\n', '    pool.recycle(run.first, 1)\n'),
  mutation('what is kept of a batch stays in the kernel\'s memory', messageReceiver,
    'else batch.detach(pool)', 'else for (;batch.count !== 0;) batch.shift()'),
  mutation('coalesced datagrams are handed over as one', messageReceiver,
    'const length = segmentBytes === 0 ? end - offset : Math.min(segmentBytes, end - offset)',
    'const length = end - offset'),
  mutation('a datagram joins others of another size', messageRequest,
    '      && lengthBytes <= this.segmentBytes\n', ''),
  mutation('a request forgets that its last datagram was shorter', messageRequest,
    'if (lengthBytes !== this.segmentBytes || lengthBytes === 0) this.#sealed = true\n', ''),
  mutation('a lane submits while a chain of it is in the kernel', messageSender,
    'if (lane.inFlight === 0 && !lane.idle && lane.refusal === 0) {',
    'if (!lane.idle && lane.refusal === 0) {'),
  mutation('datagrams of a lane are not linked', messageSender,
    'segmentsMax, index !== count - 1, this', 'segmentsMax, false, this'),
  mutation('a refused bundle is dropped', messageSender,
    'if (covered > 1 && segmentationErrors.has(-result)) this', 'if (covered > 1 && result === 0) this'),
  mutation('a sent request is not given back', messageSender,
    '      lane.shift()\n      this.#share.release(request)\n', '      lane.shift()\n'),
  mutation('what a burst was to send counts as sent', messageSender,
    'this.#sent(lane, result)', 'this.#sent(lane, burst.count)'),
  mutation('a refused message of a burst is dropped', messageSender,
    '} else if (refusals.has(-result)) {', '} else if (result === 0) {'),
  mutation('messages of a burst are cut where they began', messageRequest,
    'burst.addPiece(this.#pieceAddresses[piece] + offset, taken)',
    'burst.addPiece(this.#pieceAddresses[piece], taken)'),
  mutation('a probe is believed again and again', messageSender,
    'else if (!lane.probed) fd = this.#owner.openProbe(lane)', 'else fd = this.#owner.openProbe(lane)'),
  mutation('a lane that was refused does not wait for room', messageSender,
    'if (lane.refusal !== 0) this.#awaitRoom(lane)', 'if (lane.count === 0) this.#awaitRoom(lane)'),
  mutation('descriptors of a message that nobody gets stay open', messageReceiver,
    '    closeUnclaimed(this.#owner.details)\n    this.#share.pool', '    this.#share.pool'),
  mutation('descriptors stay open when their message has been sent', messageRequest,
    '    this.#descriptors?.close()\n', ''),
  mutation('a chunk ends within a buffer', pool,
    'if (sum !== 0 && sum + length > bytesMax) return sum', 'if (sum + length > bytesMax) return bytesMax'),
  mutation('a handler that throws keeps others from being told', connection,
    'if (told && this.#isOver) {', 'if (this.#isOver) {'),
  mutation('a receive that was interrupted ends its connection', receiver,
    '!isInterruption(result)', 'result !== -Errno.ECANCELED'),
  mutation('a receive that was interrupted ends its socket', messageReceiver,
    '!isInterruption(result)', 'result !== -Errno.ECANCELED'),
]
