import { library } from '../../tsup.base.ts'

export default library({ dgram: 'src/dgram/index.ts', register: 'src/register.ts' })
