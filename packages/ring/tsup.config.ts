import { library } from '../../tsup.base.ts'

export default library({ register: 'src/register/index.ts', testing: 'src/testing/index.ts' })
