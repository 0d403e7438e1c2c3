import { library } from '../../tsup.base.ts'

export default library({ net: 'src/net.ts', register: 'src/register.ts' })
