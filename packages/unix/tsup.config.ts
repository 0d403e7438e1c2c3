import { library } from '../../tsup.base.ts'

export default library({ 'net': 'src/net.ts', 'unix-dgram': 'src/unix-dgram.ts' })
