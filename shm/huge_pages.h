// Huge pages: whether the kernel gives them to shared memory. Reads one file of /sys.
//
// Transparent ones rather than hugetlb's: a mapping of hugetlb pages can be protected by whole huge pages only, which fits blocks but not
// the control file, needs pages that an administrator has set aside (vm.nr_hugepages), and cannot give less than a page back. The
// transparent kind takes huge pages where there are any and small ones where there are none, block by block.
#pragma once

#include <string>

namespace tv::shm {

struct HugePageSupport {
  bool offered = false;
  std::string why_not;  // for people: what the kernel says and what to do about it; empty when offered
};
HugePageSupport huge_page_support();
// From the text of /sys/kernel/mm/transparent_hugepage/shmem_enabled, which marks the present setting: "always [advise] never".
HugePageSupport huge_page_support(const std::string& shmem_enabled);

}  // namespace tv::shm
