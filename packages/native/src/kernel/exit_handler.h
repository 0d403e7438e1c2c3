// What becomes of the rings that are open when the process ends.
#pragma once

namespace sheaf::kernel {

class Ring;

/**
 * Has what holds ports in this thread's `ring` cancelled if the process ends before `ForgetAtExit`.
 * The kernel takes a ring apart some milliseconds after its process is gone, and what is armed in it holds its socket
 * until then: the port would be taken still, and answer, when whoever has waited for the process begins anew.
 */
void CancelAtExit(Ring* ring);
void ForgetAtExit(Ring* ring);

}  // namespace sheaf::kernel
