import { library } from '../../tsup.base.ts'

export default library({
  net: 'src/net/index.ts',
  register: 'src/register/index.ts',
  sheaf: 'src/doctor/main.ts',
  testing: 'src/testing/index.ts',
})
